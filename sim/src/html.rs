//! The frame of the pages that people see.

const STYLE: &str = "
:root { color-scheme: light dark }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 10vh auto; padding: 0 1rem }
main { border: 1px solid #8884; border-radius: 12px; padding: 1.5rem 2rem }
h1 { font-size: 1.4rem; margin-top: 0 }
button { font: inherit; padding: .5rem 1.25rem; border-radius: 8px; border: 1px solid #8888;
  background: none; cursor: pointer }
button.main { background: #0a66c2; border-color: #0a66c2; color: #fff }
table { width: 100%; border-collapse: collapse }
td, th { text-align: left; padding: .4rem .4rem .4rem 0 }
small { opacity: .7 }";

/// A page: its title, and what stands below it.
pub(crate) fn whole(title: &str, main: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>{STYLE}</style><main><h1>{title}</h1>{main}</main></html>"
    )
}

/// Text that stands for itself in HTML.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}
