//! `format=flowed` (RFC 3676): lines that end in a space go on in the next.

/// The paragraphs of a flowed text, a line each. `joined`: the space at the end of a line is no
/// part of the text (`delsp=yes`).
pub fn paragraphs(text: &str, joined: bool) -> String {
    let mut out = String::with_capacity(text.len());
    // Depth of the quote of the paragraph that is not at its end.
    let mut open: Option<usize> = None;
    for line in text.lines() {
        let rest = line.trim_start_matches('>');
        let depth = line.len() - rest.len();
        let words = rest.strip_prefix(' ').unwrap_or(rest);
        let signature = words == "-- ";
        if open.is_some_and(|open| open != depth || signature) {
            out.push('\n');
            open = None;
        }
        if open.is_none() && depth > 0 {
            out.push_str(&">".repeat(depth));
            out.push(' ');
        }
        let flows = words.ends_with(' ') && !signature;
        match words.strip_suffix(' ') {
            Some(less) if flows && joined => out.push_str(less),
            _ => out.push_str(words),
        }
        open = flows.then_some(depth);
        if !flows {
            out.push('\n');
        }
    }
    if open.is_some() {
        out.push('\n');
    }
    out
}
