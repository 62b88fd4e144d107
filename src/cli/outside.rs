//! Texts from outside on their way into the log, whatever writes it: lines, JSON or the journal.

use crate::model::printable;
use tracing::field::{DisplayValue, Field, FieldSet, Value, Visit, display};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// A layer that hands every text on to the next as [`printable`] makes it.
pub struct Outside<L>(pub L);

impl<S, L> Layer<S> for Outside<L>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    L: Layer<S>,
{
    fn on_layer(&mut self, subscriber: &mut S) {
        self.0.on_layer(subscriber);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.0.register_callsite(metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        self.0.enabled(metadata, context)
    }

    fn on_new_span(&self, span: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let fields = span.metadata().fields();
        let mut shown = Shown::of(fields);
        span.record(&mut shown);
        let (values, metadata) = (shown.values(), span.metadata());
        let values = fields.value_set_all(&values);
        self.0
            .on_new_span(&Attributes::new(metadata, &values), id, context);
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        let Some(metadata) = context.metadata(id) else {
            return;
        };
        let mut shown = Shown::of(metadata.fields());
        record.record(&mut shown);
        let values = shown.values();
        let values = metadata.fields().value_set_all(&values);
        self.0.on_record(id, &Record::new(&values), context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let fields = event.metadata().fields();
        let mut shown = Shown::of(fields);
        event.record(&mut shown);
        let values = shown.values();
        let (values, metadata) = (fields.value_set_all(&values), event.metadata());
        let same = match (event.parent(), event.is_root()) {
            (None, false) => Event::new(metadata, &values),
            (parent, _) => Event::new_child_of(parent.cloned(), metadata, &values),
        };
        self.0.on_event(&same, context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        self.0.on_enter(id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.0.on_exit(id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.0.on_close(id, context);
    }
}

/// The value of a field.
enum SummaryField {
    Text(String),
    Written(DisplayValue<String>),
    Signed(i64),
    Unsigned(u64),
    Real(f64),
    Truth(bool),
}

impl SummaryField {
    fn value(&self) -> &dyn Value {
        match self {
            SummaryField::Text(text) => text,
            SummaryField::Written(text) => text,
            SummaryField::Signed(number) => number,
            SummaryField::Unsigned(number) => number,
            SummaryField::Real(number) => number,
            SummaryField::Truth(truth) => truth,
        }
    }
}

/// The values of all fields, in their order.
struct Shown(Vec<Option<SummaryField>>);

impl Shown {
    fn of(fields: &FieldSet) -> Shown {
        Shown((0..fields.len()).map(|_| None).collect())
    }

    fn set(&mut self, field: &Field, value: SummaryField) {
        if let Some(place) = self.0.get_mut(field.index()) {
            *place = Some(value);
        }
    }

    fn values(&self) -> Vec<Option<&dyn Value>> {
        self.0
            .iter()
            .map(|told| told.as_ref().map(SummaryField::value))
            .collect()
    }
}

impl Visit for Shown {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let text = printable(&format!("{value:?}"));
        self.set(field, SummaryField::Written(display(text)));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, SummaryField::Text(printable(value)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, SummaryField::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, SummaryField::Unsigned(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, SummaryField::Real(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, SummaryField::Truth(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::layer;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::registry;

    #[derive(Clone, Default)]
    struct PageBuffer(Arc<Mutex<Vec<u8>>>);

    impl Write for PageBuffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    const EVIL: &str = "x\x1b]52;c\x07\n2026 ERROR forged\u{202e}\u{9b}31m";

    fn talk() {
        let span = tracing::info_span!("watch", account = %EVIL, later = tracing::field::Empty);
        span.record("later", EVIL);
        let _in = span.enter();
        tracing::warn!(said = %EVIL, what = EVIL, debug = ?EVIL, n = 7, "message {EVIL}");
    }

    #[test]
    fn no_text_moves_the_cursor_or_makes_a_line() {
        let page = PageBuffer::default();
        let write = page.clone();
        let lines = layer().with_ansi(false).with_writer(move || write.clone());
        tracing::subscriber::with_default(registry().with(Outside(lines)), talk);
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        let one = text.strip_suffix('\n').unwrap();
        assert!(one.chars().all(crate::model::text::is_printable), "{one:?}");
        assert!(
            one.contains("watch{account=x\\u{1b}") && one.contains("n=7"),
            "{one}"
        );
        assert!(
            one.contains("message x\\u{1b}") && one.contains("said=x\\u{1b}"),
            "{one}"
        );
    }

    #[test]
    fn json_decodes_to_texts_that_can_be_shown() {
        let page = PageBuffer::default();
        let write = page.clone();
        let lines = layer().json().with_writer(move || write.clone());
        tracing::subscriber::with_default(registry().with(Outside(lines)), talk);
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        let fields = &object["fields"];
        for name in ["message", "said", "what"] {
            let value = fields[name].as_str().unwrap();
            assert!(
                value.chars().all(crate::model::text::is_printable),
                "{name}"
            );
        }
        assert_eq!(fields["n"], 7);
        assert!(
            object["span"]["account"]
                .as_str()
                .unwrap()
                .starts_with("x\\u{1b}")
        );
    }
}
