use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Store {
    pub fn at(root: &Path) -> io::Result<Self> {
        Ok(Self {
            root: root.to_owned(),
        })
    }
    pub fn open() -> io::Result<Self> {
        Self::at(Path::new("/var/lib/rscale"))
    }
    pub fn project(&self, engine: &str, project: &str) -> io::Result<Folder> {
        let path = self.root.join(engine.replace('/', "_")).join(project);
        fs::create_dir_all(&path)?;
        Ok(Folder { path })
    }
}

impl Folder {
    pub fn append(&self, file: &str, line: &str) -> io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path.join(file))?;
        file.write_all(format!("{line}\n").as_bytes())
    }
    pub fn read(&self, file: &str, _limit: u64) -> io::Result<Option<String>> {
        Ok(fs::read_to_string(self.path.join(file)).ok())
    }
    pub fn write(&self, file: &str, text: &str) -> io::Result<()> {
        fs::write(self.path.join(file), text)
    }
}
