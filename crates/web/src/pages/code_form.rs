//! The form of a PIN code: filled in for a new one, or from one that is there.

use super::{
    events::Choice,
    texts::{EN, Texts},
};
use doorward_wire::code::{Code, CodeKind, CodeSchedule, CodeWish};
use std::collections::HashMap;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// What is left empty of a period does not limit; so is a code that only has limits that are none.
const NO_SCHEDULE: CodeSchedule = CodeSchedule { from: None, until: None, weekdays: Vec::new(), hours: None, uses: None };

/// A form as it was filled in, and why it was not accepted.
#[derive(Default)]
pub(super) struct Filled {
    pub(super) form: HashMap<String, String>,
    pub(super) error: Option<String>,
}

/// A form as it is shown.
pub(crate) struct WishView {
    pub(crate) error: Option<String>,
    pub(crate) name: String,
    pub(crate) kinds: Vec<KindChoice>,
    pub(crate) from: String,
    pub(crate) until: String,
    pub(crate) days: Vec<Choice>,
    pub(crate) hours_from: String,
    pub(crate) hours_until: String,
    pub(crate) uses: String,
}

pub(crate) struct KindChoice {
    pub(crate) value: &'static str,
    pub(crate) label: &'static str,
    pub(crate) help: &'static str,
    pub(crate) on: bool,
}

impl Filled {
    /// The form of a code that is there. Its digits are never shown again.
    pub(super) fn of(code: &Code) -> Self {
        let schedule = code.schedule.clone().unwrap_or(NO_SCHEDULE);
        let (hours_from, hours_until) = schedule.hours.as_deref().and_then(|hours| hours.split_once('-')).unzip();
        let fields = [
            ("name", Some(code.name.as_str())),
            ("kind", Some(code.kind.as_str())),
            ("from", schedule.from.as_deref()),
            ("until", schedule.until.as_deref()),
            ("hours_from", hours_from),
            ("hours_until", hours_until),
        ];
        let mut form: HashMap<String, String> =
            fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect();
        form.extend(schedule.weekdays.iter().map(|day| (day.clone(), "on".to_owned())));
        form.extend(schedule.uses.map(|uses| ("uses".to_owned(), uses.to_string())));
        Self { form, error: None }
    }

    /// The same form, not accepted.
    pub(super) fn refused(self, error: String) -> Self {
        Self { error: Some(error), ..self }
    }

    fn text(&self, key: &str) -> Option<String> {
        self.form.get(key).map(|text| text.trim()).filter(|text| !text.is_empty()).map(ToOwned::to_owned)
    }

    /// What is asked for a new code.
    pub(super) fn wish(&self) -> Result<CodeWish, String> {
        let hours = match (self.text("hours_from"), self.text("hours_until")) {
            (None, None) => None,
            (from, until) => Some(format!("{}-{}", from.as_deref().unwrap_or("00:00"), until.as_deref().unwrap_or("23:59"))),
        };
        let schedule = CodeSchedule {
            from: self.text("from"),
            until: self.text("until"),
            weekdays: DAYS.iter().filter(|day| self.form.contains_key(**day)).map(|day| (*day).to_owned()).collect(),
            hours,
            uses: self.text("uses").map(|uses| uses.parse().map_err(|_| EN.uses_wrong.to_owned())).transpose()?,
        };
        Ok(CodeWish {
            name: self.text("name"),
            pin: self.text("pin"),
            kind: Some(self.kind()),
            // The fields are there for every kind, so only what was filled in is a schedule.
            schedule: (schedule != NO_SCHEDULE).then_some(schedule),
        })
    }

    /// What is asked to change about a code; nothing when it is to stay as it is.
    pub(super) fn change_of(&self, code: &Code) -> Result<Option<CodeWish>, String> {
        let mut wish = self.wish()?;
        wish.name = wish.name.filter(|name| *name != code.name);
        // A period that was emptied opens at any time from now on.
        if code.schedule.is_some() && wish.schedule.is_none() && self.kind() == CodeKind::Temporary {
            wish.schedule = Some(NO_SCHEDULE);
        }
        if wish.schedule == code.schedule {
            wish.schedule = None;
            wish.kind = wish.kind.filter(|kind| *kind != code.kind);
        }
        let nothing = wish.name.is_none() && wish.pin.is_none() && wish.kind.is_none() && wish.schedule.is_none();
        Ok((!nothing).then_some(wish))
    }

    fn kind(&self) -> CodeKind {
        self.text("kind").and_then(|kind| kind.parse().ok()).unwrap_or(CodeKind::Normal)
    }
}

impl WishView {
    pub(super) fn new(t: &'static Texts, filled: Filled) -> Self {
        let text = |key: &str| filled.form.get(key).cloned().unwrap_or_default();
        let kind = filled.kind();
        Self {
            name: text("name"),
            kinds: CodeKind::ALL
                .iter()
                .map(|choice| {
                    let (label, help) = t.code_kind(*choice);
                    KindChoice { value: choice.as_str(), label, help, on: *choice == kind }
                })
                .collect(),
            from: text("from"),
            until: text("until"),
            days: DAYS
                .iter()
                .map(|day| Choice { value: (*day).into(), label: t.weekday(day).into(), on: filled.form.contains_key(*day) })
                .collect(),
            hours_from: text("hours_from"),
            hours_until: text("hours_until"),
            uses: text("uses"),
            error: filled.error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorward_wire::code::CodeState;

    fn code(kind: CodeKind, schedule: Option<CodeSchedule>) -> Code {
        Code { id: "7".into(), name: "Anna".into(), kind, state: CodeState::Set, schedule }
    }

    fn weekend() -> CodeSchedule {
        let weekdays = vec!["sat".into(), "sun".into()];
        CodeSchedule { from: Some("2026-12-01T10:00".into()), until: None, weekdays, hours: Some("08:00-18:00".into()), uses: Some(3) }
    }

    #[test]
    fn a_code_that_is_shown_and_saved_again_does_not_change() {
        for code in [code(CodeKind::Normal, None), code(CodeKind::Temporary, Some(weekend())), code(CodeKind::Temporary, None)] {
            assert_eq!(Filled::of(&code).change_of(&code), Ok(None), "{code:?}");
        }
    }

    #[test]
    fn only_what_was_changed_is_sent() {
        let code = code(CodeKind::Temporary, Some(weekend()));
        let mut filled = Filled::of(&code);
        filled.form.insert("name".into(), "Berta".into());
        let wish = filled.change_of(&code).unwrap().unwrap();
        assert_eq!((wish.name.as_deref(), wish.pin, wish.kind, wish.schedule), (Some("Berta"), None, None, None));

        let mut filled = Filled::of(&code);
        filled.form.remove("sun");
        let wish = filled.change_of(&code).unwrap().unwrap();
        assert_eq!(wish.schedule, Some(CodeSchedule { weekdays: vec!["sat".into()], ..weekend() }));
    }

    #[test]
    fn a_period_that_was_emptied_limits_no_more() {
        let code = code(CodeKind::Temporary, Some(weekend()));
        let filled = Filled { form: HashMap::from([("kind".into(), "temporary".into()), ("name".into(), "Anna".into())]), error: None };
        let wish = filled.change_of(&code).unwrap().unwrap();
        assert_eq!((wish.kind, wish.schedule), (Some(CodeKind::Temporary), Some(NO_SCHEDULE)));
    }
}
