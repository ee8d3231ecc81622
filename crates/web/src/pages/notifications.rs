//! Notifications: this browser, the other ways, and what is told when.

use super::{
    scene::{Scene, TimeView},
    shell::{Flash, Oops, Section, Shell, html},
    texts::{EN, Texts, state::Face},
    visitor::Visitor,
};
use crate::{
    ApiError, Web,
    notify::desk::{self, Standing},
};
use askama::Template;
use axum::{
    Form, Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use doorward_wire::notify::{NotifyChannel, NotifyKind};
use serde::Deserialize;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/notifications", get(show)).route("/notifications/test", post(test))
}

#[derive(Template)]
#[template(path = "notifications.html")]
struct NotificationsPage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    /// The subscription of this browser; empty when it has none.
    subscription: String,
    lines: Vec<ChannelLine>,
    facts: Vec<(&'static str, String)>,
}

/// A way of telling people.
struct ChannelLine {
    channel: NotifyChannel,
    icon: &'static str,
    name: &'static str,
    place: String,
    face: Face,
    error: Option<String>,
    tried: Option<TimeView>,
    /// It can be tested.
    test_aria: Option<String>,
}

impl ChannelLine {
    fn new(scene: &Scene, standing: Standing) -> Self {
        let (t, channel) = (scene.t, standing.channel);
        let icon = match channel {
            NotifyChannel::Push => "bell",
            NotifyChannel::Ntfy => "send",
            NotifyChannel::Mail => "mail",
        };
        Self {
            channel,
            icon,
            name: t.notify_channel(channel),
            place: t.notify_place(&standing),
            face: t.notify_state(&standing),
            tried: standing.last.as_ref().map(|last| scene.time(last.time, None)),
            error: standing.last.and_then(|last| last.error).map(|error| t.sentence(&error)),
            test_aria: standing.on.then(|| t.notify_test_aria(channel)),
        }
    }
}

async fn show(State(web): State<Web>, visitor: Visitor) -> Result<Response, Oops> {
    page(&web, &visitor, None).await
}

async fn page(web: &Web, visitor: &Visitor, flash: Option<Flash>) -> Result<Response, Oops> {
    let scene = Scene::load(web, visitor).await;
    let subscription = web.house().store().push_of(visitor.session.as_bytes()).await?.unwrap_or_default();
    let lines = desk::standings(web).await?.into_iter().map(|standing| ChannelLine::new(&scene, standing)).collect();
    let mut shell = Shell::new(&scene, scene.t.notifications, Section::Settings);
    shell.flash = flash;
    Ok(html(&NotificationsPage { shell, t: scene.t, csrf: scene.csrf.clone(), subscription, lines, facts: facts(&scene) }))
}

fn facts(scene: &Scene) -> Vec<(&'static str, String)> {
    let (t, settings) = (scene.t, &scene.web.config().notify);
    let kinds = |kinds: &[NotifyKind]| match kinds {
        [] => t.notify_nothing.to_owned(),
        kinds => t.sentence(&kinds.iter().map(|kind| t.notify_kind(*kind)).collect::<Vec<_>>().join(", ")),
    };
    let mut facts = vec![(t.notify_when, kinds(&settings.kinds))];
    match settings.quiet {
        Some(quiet) => {
            let zone = settings.zone.iana_name().unwrap_or("UTC");
            facts.push((t.notify_quiet, format!("{quiet} ({zone})")));
            let through: Vec<NotifyKind> = settings.kinds.iter().copied().filter(|kind| settings.quiet_kinds.contains(kind)).collect();
            facts.push((t.notify_through, kinds(&through)));
        }
        None => facts.push((t.notify_quiet, t.notify_no_quiet.into())),
    }
    facts
}

#[derive(Deserialize)]
struct TestForm {
    csrf: String,
    channel: NotifyChannel,
}

async fn test(State(web): State<Web>, visitor: Visitor, Form(form): Form<TestForm>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let flash = match desk::test(&web, Some(form.channel), own(&web, &visitor, form.channel).await?.as_deref()).await {
        Ok(tested) => match tested.into_iter().find_map(|tested| tested.error) {
            None => Flash::good(EN.notify_tested(form.channel)),
            Some(error) => Flash::bad(EN.notify_test_failed(form.channel, &error)),
        },
        Err(error @ ApiError::Conflict(_)) => Flash::bad(EN.explain(&error)),
        Err(error) => return Err(error.into()),
    };
    page(&web, &visitor, Some(flash)).await
}

/// Who tests Web Push in a browser that has it on tests that one.
async fn own(web: &Web, visitor: &Visitor, channel: NotifyChannel) -> Result<Option<String>, Oops> {
    match channel {
        NotifyChannel::Push => Ok(web.house().store().push_of(visitor.session.as_bytes()).await?),
        NotifyChannel::Ntfy | NotifyChannel::Mail => Ok(None),
    }
}
