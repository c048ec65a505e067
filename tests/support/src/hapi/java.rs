//! Finding Java and Maven.

use std::path::PathBuf;
use std::process::Command;

use super::Error;

const JDK: u32 = 17;
const MAVEN: (u32, u32) = (3, 6);

/// A Java that is new enough.
#[derive(Debug)]
pub(crate) struct Java {
    /// The command.
    pub(crate) program: PathBuf,
    /// All that `java -version` says: archives fit one build of the JVM only.
    pub(crate) version: String,
}

/// The Java of `JAVA_HOME`, otherwise of the search path.
pub(crate) fn find_java() -> Result<Java, Error> {
    let program = match std::env::var_os("JAVA_HOME") {
        Some(home) if !home.is_empty() => PathBuf::from(home).join("bin/java"),
        _ => PathBuf::from("java"),
    };
    let output = Command::new(&program)
        .arg("-version")
        .output()
        .map_err(|e| Error::Jdk(format!("{} does not start: {e}", program.display())))?;
    let version = String::from_utf8_lossy(&output.stderr).into_owned();
    match java_major(&version) {
        Some(major) if major >= JDK => Ok(Java { program, version }),
        Some(major) => Err(Error::Jdk(format!("{} is Java {major}", program.display()))),
        None => Err(Error::Jdk(format!("{} -version tells no version", program.display()))),
    }
}

/// Makes sure that Maven is there, new enough, and runs on a JDK that is.
pub(super) fn require_maven() -> Result<(), Error> {
    let output = Command::new("mvn")
        .arg("-version")
        .output()
        .map_err(|e| Error::Maven(format!("mvn does not start: {e}")))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match maven_version(&text) {
        Some(version) if version >= MAVEN => {}
        Some((major, minor)) => return Err(Error::Maven(format!("mvn is {major}.{minor}"))),
        None => return Err(Error::Maven("mvn -version tells no version".into())),
    }
    let (java, home) = maven_java(&text).ok_or_else(|| Error::Maven("mvn tells no Java version".into()))?;
    if java < JDK {
        return Err(Error::Jdk(format!("mvn runs on Java {java}; JAVA_HOME chooses another")));
    }
    if !home.join("bin/javac").exists() {
        return Err(Error::Jdk(format!("mvn runs on {}, which has no compiler", home.display())));
    }
    Ok(())
}

/// The major version in `openjdk version "17.0.15" 2025-04-15`; Java 8 calls itself 1.8.
fn java_major(text: &str) -> Option<u32> {
    let quoted = text.split('"').nth(1)?;
    let mut numbers = quoted.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok());
    match numbers.next()? {
        1 => numbers.next(),
        major => Some(major),
    }
}

/// The version in `Apache Maven 3.8.7 (…)`, which may be set in bold.
fn maven_version(text: &str) -> Option<(u32, u32)> {
    let rest = text.split("Apache Maven ").nth(1)?;
    let mut numbers = rest.split('.').filter_map(|n| n.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

/// Major version and home in `Java version: 17.0.15, vendor: Debian, runtime: /usr/lib/jvm/…`.
fn maven_java(text: &str) -> Option<(u32, PathBuf)> {
    let line = text.lines().find_map(|line| line.split("Java version: ").nth(1))?;
    let (version, rest) = line.split_once(',')?;
    let home = rest.split("runtime: ").nth(1)?;
    Some((java_major(&format!("\"{version}\""))?, PathBuf::from(home.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        for (text, major) in [
            ("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime…", Some(17)),
            ("java version \"1.8.0_402\"", Some(8)),
            ("openjdk version \"25-ea\" 2025-09-16", Some(25)),
            ("bash: java: no", None),
        ] {
            assert_eq!(java_major(text), major, "{text}");
        }
        let maven = "\u{1b}[1mApache Maven 3.8.7\u{1b}[m\nMaven home: /usr/share/maven\n\
                     Java version: 17.0.15, vendor: Debian, runtime: /usr/lib/jvm/java-17\n";
        assert_eq!(maven_version(maven), Some((3, 8)));
        assert_eq!(maven_java(maven), Some((17, PathBuf::from("/usr/lib/jvm/java-17"))));
        assert_eq!(maven_version("Apache Maven 4.0.0-rc-3 (x)"), Some((4, 0)));
    }
}
