//! End to end on Kubernetes: rscale and the real kubectl, against the small API server of the tests or the real
//! cluster that `RSCALE_E2E_KUBECONFIG` names.

mod scale;
