//! Licence expressions (SPDX 2.3, annex D, and the `/` that old manifests use for `OR`).

/// Why an expression cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no licence expression")]
pub struct BadExpression(String);

/// Whether a work under this expression may be used with the licences in `allowed` alone.
///
/// `AND` binds more tightly than `OR`. `X WITH Y` is one licence, allowed only under its whole name.
///
/// # Errors
/// [`BadExpression`] with the expression.
pub fn satisfies(expression: &str, allowed: &[String]) -> Result<bool, BadExpression> {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader {
        words: &words,
        allowed,
    };
    match reader.any() {
        Some(satisfied) if reader.words.is_empty() => Ok(satisfied),
        _ => Err(BadExpression(expression.to_owned())),
    }
}

struct Reader<'a> {
    words: &'a [&'a str],
    allowed: &'a [String],
}

impl Reader<'_> {
    fn any(&mut self) -> Option<bool> {
        let mut satisfied = self.all()?;
        while self.take("OR") {
            satisfied |= self.all()?;
        }
        Some(satisfied)
    }

    fn all(&mut self) -> Option<bool> {
        let mut satisfied = self.one()?;
        while self.take("AND") {
            satisfied &= self.one()?;
        }
        Some(satisfied)
    }

    fn one(&mut self) -> Option<bool> {
        if self.take("(") {
            let satisfied = self.any()?;
            return self.take(")").then_some(satisfied);
        }
        let mut licence = self.name()?.to_owned();
        if self.take("WITH") {
            licence = format!("{licence} WITH {}", self.name()?);
        }
        Some(self.allowed.contains(&licence))
    }

    fn name(&mut self) -> Option<&str> {
        let (name, rest) = self.words.split_first()?;
        if matches!(*name, "(" | ")" | "AND" | "OR" | "WITH") {
            return None;
        }
        self.words = rest;
        Some(name)
    }

    fn take(&mut self, word: &str) -> bool {
        match self.words.split_first() {
            Some((first, rest)) if *first == word => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_allowed(expression: &str) -> bool {
        let allowed = ["MIT", "ISC", "Apache-2.0"].map(str::to_owned);
        satisfies(expression, &allowed).unwrap()
    }

    #[test]
    fn one_of_or_is_enough_and_all_of_and_are_needed() {
        assert!(is_allowed("MIT") && is_allowed("GPL-3.0 OR MIT") && is_allowed("Unlicense/MIT"));
        assert!(is_allowed("ISC AND (Apache-2.0 OR OpenSSL) AND MIT"));
        assert!(
            !is_allowed("GPL-3.0")
                && !is_allowed("MIT AND GPL-3.0")
                && !is_allowed("(GPL-3.0 OR CC0-1.0) AND MIT")
        );
    }

    #[test]
    fn and_binds_more_tightly_than_or() {
        assert!(is_allowed("MIT OR GPL-3.0 AND LGPL-3.0"));
        assert!(!is_allowed("GPL-3.0 AND MIT OR LGPL-3.0"));
    }

    #[test]
    fn an_exception_makes_another_licence() {
        assert!(!is_allowed("Apache-2.0 WITH LLVM-exception"));
        assert_eq!(satisfies("A WITH B", &["A WITH B".to_owned()]), Ok(true));
    }

    #[test]
    fn nonsense_is_refused() {
        for expression in [
            "",
            "MIT OR",
            "OR MIT",
            "MIT MIT",
            "(MIT",
            "MIT)",
            "MIT AND OR ISC",
            "MIT WITH",
        ] {
            assert!(satisfies(expression, &[]).is_err(), "{expression}");
        }
    }
}
