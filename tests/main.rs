//! The one integration binary: the command line against a fake docker, the pipeline on a recording
//! executor, and end to end on a real engine.
