//! What a packet costs as calls grow, as a picture.

use std::fmt::Write as _;

use crate::results::{Figure, Results, Work};

/// The lines: what is measured, of whom, how it is called, in which colour.
const LINES: [(Work, &str, &str, &str); 7] = [
    (Work::Plain, "rtpengine", "rtpengine, RTP", "#b45309"),
    (Work::Sdes, "rtpengine", "rtpengine, SRTP to RTP", "#dc2626"),
    (
        Work::Sdes,
        "viaduct-relay",
        "viaduct-relay, SRTP to RTP",
        "#7c3aed",
    ),
    (
        Work::Dtls,
        "viaduct-relay",
        "viaduct-relay, browser to phone",
        "#db2777",
    ),
    (Work::Plain, "viaduct-relay", "viaduct-relay, RTP", "#2563eb"),
    (
        Work::Kernel,
        "rtpengine",
        "rtpengine, RTP between links",
        "#57534e",
    ),
    (
        Work::Kernel,
        "viaduct-relay",
        "viaduct-relay, RTP in the kernel",
        "#059669",
    ),
];

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
/// Where the field of the lines begins and ends.
const LEFT: f64 = 60.0;
const RIGHT: f64 = 470.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 350.0;

/// Draws processor time for a packet (SVG): both scales are logarithmic.
#[must_use]
pub fn draw(grown: &[(usize, Results)]) -> String {
    let lines: Vec<_> = LINES
        .into_iter()
        .map(|(work, peer, text, colour)| {
            let points: Vec<(f64, f64)> = grown
                .iter()
                .filter_map(|(calls, results)| {
                    let spread = results.spread(work, Figure::Processor, peer)?;
                    (spread.median > 0.0).then_some((*calls as f64, spread.median))
                })
                .collect();
            (text, colour, points)
        })
        .filter(|(_, _, points)| !points.is_empty())
        .collect();
    let all = || lines.iter().flat_map(|(_, _, points)| points);
    let across = Scale::of(all().map(|point| point.0), (LEFT, RIGHT));
    let up = Scale::of(all().map(|point| point.1), (BOTTOM, TOP));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
    );
    let mut add = |text: String| {
        svg.push_str(&text);
        svg.push('\n');
    };
    for value in up.marks() {
        let y = up.place(value);
        add(format!(
            "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"#d6d3d1\"/><text x=\"{:.1}\" y=\"{:.1}\" \
             text-anchor=\"end\">{value}</text>",
            LEFT - 8.0,
            y + 4.0
        ));
    }
    for value in across.marks() {
        let x = across.place(value);
        add(format!(
            "<path d=\"M{x:.1} {TOP}V{BOTTOM}\" stroke=\"#e7e5e4\"/><text x=\"{x:.1}\" y=\"{:.1}\" \
             text-anchor=\"middle\">{value}</text>",
            BOTTOM + 18.0
        ));
    }
    add(format!(
        "<text x=\"{LEFT}\" y=\"18\">µs of processor time for a packet</text>"
    ));
    add(format!(
        "<text x=\"{RIGHT}\" y=\"{:.1}\" text-anchor=\"end\">calls; of up to 1,000 each 100 packets a second, of more 50,000 in all</text>",
        BOTTOM + 38.0
    ));
    for (at, (text, colour, points)) in lines.iter().enumerate() {
        let mut path = String::new();
        for (number, point) in points.iter().enumerate() {
            let command = if number == 0 { 'M' } else { 'L' };
            let (x, y) = (across.place(point.0), up.place(point.1));
            // Writing to a String cannot fail.
            let _ = write!(path, "{command}{x:.1} {y:.1}");
            add(format!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
            ));
        }
        let y = TOP + 20.0 + 22.0 * at as f64;
        add(format!(
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/><text x=\"{:.1}\" \
             y=\"{y:.1}\" fill=\"{colour}\">{text}</text>",
            RIGHT + 14.0
        ));
    }
    svg.push_str("</svg>\n");
    svg
}

/// A logarithmic scale, from a power of ten to a power of ten.
#[derive(Debug, Clone, Copy)]
struct Scale {
    /// The powers.
    from: f64,
    to: f64,
    place: (f64, f64),
}

impl Scale {
    fn of(values: impl Iterator<Item = f64> + Clone, place: (f64, f64)) -> Self {
        let from = values.clone().fold(f64::INFINITY, f64::min).log10().floor();
        let to = values.fold(0.0, f64::max).log10().ceil();
        let (from, to) = if from.is_finite() && to.is_finite() {
            (from, to)
        } else {
            (0.0, 1.0)
        };
        Self {
            from,
            to: to.max(from + 1.0),
            place,
        }
    }

    fn place(&self, value: f64) -> f64 {
        let (start, end) = self.place;
        start + (end - start) * (value.log10() - self.from) / (self.to - self.from)
    }

    fn marks(&self) -> impl Iterator<Item = f64> + use<> {
        (self.from as i32..=self.to as i32).map(|power| 10_f64.powi(power))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_through_what_was_measured() {
        let grown: Vec<(usize, Results)> = [(10, 1.0), (1_000, 0.1)]
            .into_iter()
            .map(|(calls, micros)| {
                let mut results = Results::default();
                results.add(Work::Kernel, Figure::Processor, "viaduct-relay", micros);
                (calls, results)
            })
            .collect();
        let svg = draw(&grown);
        // From the top left to the bottom right.
        assert!(svg.contains("<path d=\"M60.0 30.0L470.0 350.0\""), "{svg}");
        assert!(svg.contains(">viaduct-relay, RTP in the kernel</text>"), "{svg}");
        assert!(!svg.contains("SRTP"), "{svg}");
        assert!(draw(&[]).ends_with("</svg>\n"));
    }
}
