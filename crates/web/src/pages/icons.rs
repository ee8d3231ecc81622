//! A small set of icons of our own, 24 by 24, drawn in the colour of the text around them.

/// What all icons have in common; they are decoration beside words, so nobody reads them aloud.
macro_rules! svg {
    ($inner:literal) => {
        concat!(
            r#"<svg viewBox="0 0 24 24" aria-hidden="true" focusable="false" fill="none" stroke="currentColor" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round">"#,
            $inner,
            "</svg>"
        )
    };
}
/// An icon as inline SVG; nothing for a name that is not known.
pub(crate) fn icon(name: &str) -> &'static str {
    match name {
        "brand" => svg!(
            r#"<path d="M6 21V6a2.5 2.5 0 0 1 2.5-2.5h7A2.5 2.5 0 0 1 18 6v15M3.5 21h17"/><circle cx="14.5" cy="12.5" r=".9" fill="currentColor"/>"#
        ),
        "door" => svg!(r#"<path d="M6 21V5.5A1.5 1.5 0 0 1 7.5 4h9A1.5 1.5 0 0 1 18 5.5V21M4 21h16M14.5 12.5v.01"/>"#),
        "door-open" => svg!(r#"<path d="M4 21h16M7 21V5a1 1 0 0 1 1-1h2M18 21V6.5L10 4v17M14.5 12.5v1"/>"#),
        "gate" => svg!(r#"<path d="M4 20V8M20 20V8M4 10c3-3 13-3 16 0M4 17h16M8 8.4V20M12 7.8V20M16 8.4V20"/>"#),
        "lock" => svg!(r#"<rect x="5" y="10.5" width="14" height="10" rx="2.5"/><path d="M8 10.5V8a4 4 0 0 1 8 0v2.5M12 14.5v2"/>"#),
        "unlock" => svg!(r#"<rect x="5" y="10.5" width="14" height="10" rx="2.5"/><path d="M8 10.5V7a4 4 0 0 1 7.7-1.5M12 14.5v2"/>"#),
        "alert" => svg!(r#"<path d="M12 4 2.8 19.5h18.4zM12 10v4M12 17v.01"/>"#),
        "question" => {
            svg!(r#"<circle cx="12" cy="12" r="8.5"/><path d="M9.7 9.5a2.4 2.4 0 1 1 3.5 2.2c-.8.4-1.2.9-1.2 1.8M12 16.5v.01"/>"#)
        }
        "info" => svg!(r#"<circle cx="12" cy="12" r="8.5"/><path d="M12 11v5M12 8v.01"/>"#),
        "check" => svg!(r#"<circle cx="12" cy="12" r="8.5"/><path d="m8.3 12.2 2.6 2.6 4.9-5.3"/>"#),
        "circle" => svg!(r#"<circle cx="12" cy="12" r="8.5"/>"#),
        "download" => svg!(r#"<path d="M12 4.5v10M7.5 10.5 12 15l4.5-4.5M5 19.5h14"/>"#),
        "x" => svg!(r#"<circle cx="12" cy="12" r="8.5"/><path d="m9 9 6 6M15 9l-6 6"/>"#),
        "clock" => svg!(r#"<circle cx="12" cy="12" r="8.5"/><path d="M12 7.5V12l3 2"/>"#),
        "spin" => concat!(
            r#"<svg class="spin" viewBox="0 0 24 24" aria-hidden="true" focusable="false" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round">"#,
            r#"<circle cx="12" cy="12" r="8.5" opacity=".25"/><path d="M20.5 12A8.5 8.5 0 0 0 12 3.5"/></svg>"#
        ),
        "refresh" => svg!(r#"<path d="M19.5 12a7.5 7.5 0 1 1-2.2-5.3l2.2 2.1M19.5 4.5v4.3h-4.3"/>"#),
        "send" => svg!(r#"<path d="M5 12h13M13 6.5 18.5 12 13 17.5"/>"#),
        "mail" => svg!(r#"<rect x="3" y="5.5" width="18" height="13.5" rx="2.5"/><path d="m4.5 8 7.5 5.5L19.5 8"/>"#),
        "battery" => svg!(r#"<rect x="3" y="8" width="15.5" height="8.5" rx="2"/><path d="M21.5 11v2.5M6.5 11.3v2"/>"#),
        "offline" => {
            svg!(r#"<path d="M7.5 18.5h9.8M19.9 16.5A3.8 3.8 0 0 0 17 10.6 5.5 5.5 0 0 0 9.7 7M6.9 9.7a4.5 4.5 0 0 0-.4 8.8M4 4l16 16"/>"#)
        }
        "phone" => svg!(r#"<rect x="7" y="3.5" width="10" height="17" rx="2.5"/><path d="M11 17.5h2"/>"#),
        "screen" => svg!(r#"<rect x="3.5" y="5" width="17" height="11.5" rx="2"/><path d="M9 20h6M12 16.5V20"/>"#),
        "cloud" => svg!(r#"<path d="M7 18.5a4.5 4.5 0 0 1-.3-9 5.5 5.5 0 0 1 10.5 1.2A3.9 3.9 0 0 1 17 18.5z"/>"#),
        "chip" => svg!(
            r#"<rect x="6.5" y="6.5" width="11" height="11" rx="2"/><path d="M9.5 6.5V4M14.5 6.5V4M9.5 20v-2.5M14.5 20v-2.5M6.5 9.5H4M6.5 14.5H4M20 9.5h-2.5M20 14.5h-2.5M10.5 10.5h3v3h-3z"/>"#
        ),
        "key" => svg!(r#"<circle cx="8.5" cy="15.5" r="4"/><path d="m11.5 12.5 8-8M16.5 7.5l2.5 2.5M14.3 9.7l1.7 1.7"/>"#),
        "users" => svg!(
            r#"<circle cx="9" cy="9" r="3.4"/><path d="M2.8 19.5a6.3 6.3 0 0 1 12.4 0M15.5 5.9a3.4 3.4 0 0 1 0 6.2M17.4 14.3a6.3 6.3 0 0 1 3.8 5.2"/>"#
        ),
        "ticket" => {
            svg!(
                r#"<path d="M3.5 8A1.5 1.5 0 0 1 5 6.5h14A1.5 1.5 0 0 1 20.5 8v2a2 2 0 0 0 0 4v2a1.5 1.5 0 0 1-1.5 1.5H5A1.5 1.5 0 0 1 3.5 16v-2a2 2 0 0 0 0-4zM14.5 9.5v.01M14.5 12v.01M14.5 14.5v.01"/>"#
            )
        }
        "bluetooth" => svg!(r#"<path d="m7 8 10 8-5 4.5v-17L17 8 7 16"/>"#),
        "edit" => svg!(r#"<path d="M5 19h3.5L19 8.5 15.5 5 5 15.5zM13.5 7l3.5 3.5"/>"#),
        "user" => svg!(r#"<circle cx="12" cy="8.5" r="3.8"/><path d="M4.8 20a7.3 7.3 0 0 1 14.4 0"/>"#),
        "bell" => svg!(r#"<path d="M6 16.5V11a6 6 0 1 1 12 0v5.5l1.5 1.5h-15zM10.2 21h3.6"/>"#),
        "shield" => svg!(r#"<path d="M12 3.5 5 6v5.5c0 4.5 2.9 7.6 7 9 4.1-1.4 7-4.5 7-9V6z"/>"#),
        "events" => svg!(r#"<path d="M9 6.5h11M9 12h11M9 17.5h11M4.5 6.5v.01M4.5 12v.01M4.5 17.5v.01"/>"#),
        "settings" => svg!(r#"<path d="M4 8h7M15 8h5M4 16h4M12 16h8"/><circle cx="13" cy="8" r="2.2"/><circle cx="10" cy="16" r="2.2"/>"#),
        "logs" => svg!(r#"<rect x="4" y="4.5" width="16" height="15" rx="2.5"/><path d="m8 9.5 2.5 2.5L8 14.5M13 14.5h3"/>"#),
        "plus" => svg!(r#"<path d="M12 5.5v13M5.5 12h13"/>"#),
        "back" => svg!(r#"<path d="m14.5 6-6 6 6 6"/>"#),
        "chevron" => svg!(r#"<path d="m9.5 6 6 6-6 6"/>"#),
        "external" => svg!(r#"<path d="M13.5 5H19v5.5M19 5l-8 8M10 6.5H7A2 2 0 0 0 5 8.5V17a2 2 0 0 0 2 2h8.5a2 2 0 0 0 2-2v-3"/>"#),
        "copy" => svg!(
            r#"<rect x="8.5" y="8.5" width="11" height="11" rx="2"/><path d="M5.5 15.5h-.3A1.7 1.7 0 0 1 4.5 14V6A1.5 1.5 0 0 1 6 4.5h8a1.5 1.5 0 0 1 1.5 1"/>"#
        ),
        "trash" => svg!(
            r#"<path d="M4.5 7h15M9.5 7V4.5h5V7M6.5 7l.8 12a1.5 1.5 0 0 0 1.5 1.5h6.4a1.5 1.5 0 0 0 1.5-1.5l.8-12M10.5 11v5.5M13.5 11v5.5"/>"#
        ),
        "sign-out" => svg!(r#"<path d="M10.5 4.5H7a2 2 0 0 0-2 2v11a2 2 0 0 0 2 2h3.5M15 8l4 4-4 4M19 12h-9"/>"#),
        _ => "",
    }
}
