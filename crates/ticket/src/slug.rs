//! A title as it stands in an address.

/// Longest slug that a title gives, in bytes, before what tells it from another.
pub const SLUG_BYTES_MAX: usize = 100;

/// Returns a title in Latin letters, digits and hyphens; `ticket` when nothing of it can be written so.
#[must_use]
pub fn slug(title: &str) -> String {
    let mut slug = slug::slugify(title);
    if slug.len() > SLUG_BYTES_MAX {
        let word = slug[..=SLUG_BYTES_MAX].rfind('-').unwrap_or(SLUG_BYTES_MAX);
        slug.truncate(word);
    }
    if slug.is_empty() { "ticket".to_owned() } else { slug }
}

/// Returns the name of the `count`th ticket with this slug, 1 for the first.
#[must_use]
pub fn numbered(slug: &str, count: u64) -> String {
    if count < 2 { slug.to_owned() } else { format!("{slug}-{count}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn title_is_romanised() {
        assert_eq!(slug("Drucker streikt: Größe A4!"), "drucker-streikt-grosse-a4");
        assert_eq!(slug("Привет, мир"), "privet-mir");
        assert_eq!(slug("北京"), "bei-jing");
        assert_eq!(slug("…"), "ticket");
        assert_eq!((numbered("a", 1), numbered("a", 2)), ("a".to_owned(), "a-2".to_owned()));
    }

    #[test]
    fn slug_is_cut_between_words() {
        let cut = slug(&"печать ".repeat(36));
        assert!(cut.len() <= SLUG_BYTES_MAX && cut.ends_with("pechat"), "{cut}");
        assert_eq!(slug(&"x".repeat(255)).len(), SLUG_BYTES_MAX);
    }
}
