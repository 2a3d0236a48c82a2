//! The Date header.

/// The date of a second as text (RFC 3261 section 20.17), kept while the second lasts: many answers carry it.
#[derive(Debug, Default)]
pub(crate) struct HttpDate {
    unix: Option<u64>,
    text: String,
}

impl HttpDate {
    /// The date `unix` seconds after 1970 began.
    pub(crate) fn at(&mut self, unix: u64) -> &str {
        if self.unix != Some(unix) {
            self.unix = Some(unix);
            self.text = http_date(unix);
        }
        &self.text
    }
}

/// The time of day as the Date header writes it (RFC 3261 section 20.17).
fn http_date(unix: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let days = unix / 86_400;
    let (hour, minute, second) = (unix / 3_600 % 24, unix / 60 % 60, unix % 60);
    // Days since 1 March of year 0, counted in eras of 400 years: leap days fall at the end of a year.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = (march_month + 2) % 12;
    let year = era * 400 + year_of_era + u64::from(month < 2);
    let weekday = DAYS[(days % 7) as usize];
    format!(
        "{weekday}, {day:02} {} {year} {hour:02}:{minute:02}:{second:02} GMT",
        MONTHS[month as usize]
    )
}

#[cfg(test)]
mod tests {
    use super::HttpDate;

    #[test]
    fn dates_are_right_around_leap_days_and_new_years() {
        let mut date = HttpDate::default();
        for (unix, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (1_735_689_600, "Wed, 01 Jan 2025 00:00:00 GMT"),
            (4_102_444_800, "Fri, 01 Jan 2100 00:00:00 GMT"),
        ] {
            assert_eq!(date.at(unix), text);
        }
    }
}
