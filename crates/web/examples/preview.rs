//! Scratch: runs the pages with a scripted vendor. Not committed.
#![allow(missing_docs, clippy::all, clippy::pedantic, clippy::unwrap_used)]
use doorward_core::{Secret, driver::*, setup::*};
use doorward_engine::{Clock, House, SystemClock};
use doorward_store::*;
use doorward_web::{Web, WebConfig, logbook::*, serve};
use doorward_wire::{
    Time,
    attempt::{Actor, ActorKind},
    door::*,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

const FIELDS: &[Field] = &[
    Field {
        name: "access_key",
        label: "Access key",
        help: "From the app: My Account, OpenAPI. Also called client id.",
        kind: FieldKind::Text,
        default: "",
        required: true,
    },
    Field {
        name: "secret_key",
        label: "Secret key",
        help: "From the same page of the app. Also called client secret.",
        kind: FieldKind::Secret,
        default: "",
        required: true,
    },
    Field {
        name: "redirect_url",
        label: "Redirect address",
        help: "Exactly as it is set in the app under OpenAPI. The browser ends there after sign-in; its address can be pasted here.",
        kind: FieldKind::Text,
        default: "",
        required: false,
    },
    Field {
        name: "status_poll_seconds",
        label: "Ask every (seconds)",
        help: "How often all locks are asked for their state; at least 5.",
        kind: FieldKind::Number,
        default: "60",
        required: false,
    },
    Field {
        name: "auto_refresh_enabled",
        label: "Renew the token by itself",
        help: "Renews the sign-in before it ends, so that nobody has to sign in again.",
        kind: FieldKind::Switch,
        default: "true",
        required: false,
    },
    Field {
        name: "refresh_buffer_minutes",
        label: "Renew ahead (minutes)",
        help: "How long before its end the token is renewed; 1 to 1440.",
        kind: FieldKind::Number,
        default: "5",
        required: false,
    },
    Field {
        name: "time_zone",
        label: "Time zone of the locks",
        help: "For codes with a schedule, such as Europe/Berlin; the site's own when left empty.",
        kind: FieldKind::Text,
        default: "",
        required: false,
    },
    Field {
        name: "base_url",
        label: "API address",
        help: "Where the cloud's API is. Change it only for a test cloud.",
        kind: FieldKind::Url,
        default: "https://api.u-tec.com",
        required: false,
    },
];
const STEPS: &[Step] = &[Step { name: "start", label: "Sign in", help: "" }, Step { name: "exchange", label: "Finish", help: "" }];
fn about() -> About {
    About {
        kind: "utec",
        title: "U-tec / Ultraloq",
        summary: "Ultraloq and other U-tec locks that are connected to the vendor's cloud by Wi-Fi or a bridge.",
        fields: FIELDS,
        steps: STEPS,
        verify: vec![Duration::from_millis(1500), Duration::from_secs(3), Duration::from_secs(5)],
        stale_after: Duration::from_secs(3600),
    }
}
fn build(s: &Settings) -> Result<Arc<dyn Driver>, Vec<Mistake>> {
    let key = s.values.get("access_key").and_then(Value::as_str).unwrap_or("").to_owned();
    if key.is_empty() {
        return Err(vec![Mistake { key: "access_key".into(), hint: "is missing; find it in the app under My Account, OpenAPI".into() }]);
    }
    Ok(Arc::new(V { about: about(), key, state: Mutex::default() }))
}
const TABLE: &[Entry] = &[Entry { kind: "utec", about, build }];
struct V {
    about: About,
    key: String,
    state: Mutex<BTreeMap<String, DoorState>>,
}
const HOME: &[(&str, &str)] = &[
    ("front", "Front door"),
    ("back", "Back door"),
    ("garage", "Garage"),
    ("cellar", "Cellar"),
    ("studio", "Studio"),
    ("attic", "Attic room 3"),
    ("gate", "Garden gate"),
    ("office", "Office"),
];
impl V {
    fn st(&self, d: &str) -> DoorState {
        self.state.lock().unwrap().get(d).copied().unwrap_or(match d {
            "back" => DoorState::Unlocked,
            "cellar" => DoorState::Jammed,
            _ => DoorState::Locked,
        })
    }
    fn sight(&self, ctx: &dyn Ctx, d: &str) -> Sight {
        let how = How::Polled { requested: ctx.now().mono };
        let mut s = Sight::new(how);
        if d != "gate" {
            s.state = Some(self.st(d));
            s.battery = Some(match d {
                "office" => 10,
                "attic" => 50,
                _ => 82,
            });
        }
        s.online = Some(d != "garage");
        if d == "garage" {
            s.state = None;
        }
        s
    }
    async fn go(&self, ctx: &dyn Ctx, t: &Target, a: Action) -> Result<Done, Fault> {
        let d = match t {
            Target::Door { external, .. } => external.as_str(),
            Target::Account => "",
        };
        match a {
            Action::Lock(_) | Action::Unlock(_) | Action::Open(_) => {
                ctx.sleep(Duration::from_millis(700)).await;
                let to = if matches!(a, Action::Lock(_)) { DoorState::Locked } else { DoorState::Unlocked };
                match d {
                    "studio" => {}
                    "attic" => {
                        return Err(Fault::timeout(
                            "The lock’s cloud did not answer. The command may or may not have reached the lock.",
                            "scripted",
                        ));
                    }
                    "garage" => return Err(Fault::offline("The lock’s bridge is not connected.", "scripted")),
                    "office" => return Err(Fault::refused("The cloud says that this key may not operate the lock.", "scripted")),
                    _ => {
                        self.state.lock().unwrap().insert(d.into(), to);
                    }
                }
                Ok(Done::default())
            }
            Action::Refresh if !d.is_empty() => {
                ctx.sleep(Duration::from_millis(400)).await;
                if d == "garage" {
                    return Err(Fault::offline("The lock’s bridge is not connected.", "x"));
                }
                Ok(Done { sight: Some(self.sight(ctx, d)), ..Done::default() })
            }
            Action::Renew(_) => {
                ctx.sleep(Duration::from_millis(600)).await;
                if self.key == "shop" {
                    return Err(Fault::auth("The vendor does not accept the refresh token any more. Sign in again.", "x"));
                }
                ctx.report(Report::Lease(lease(ctx, true)));
                Ok(Done::default())
            }
            Action::Setup { step, .. } if step == "start" => Ok(Done {
                output: json!({"authorize_url": "https://oauth.u-tec.com/authorize?response_type=code&client_id=x&state=1"}),
                ..Done::default()
            }),
            Action::Setup { input, .. } => {
                if input.reveal().contains("code=") {
                    ctx.report(Report::SignedIn);
                    ctx.report(Report::Lease(lease(ctx, true)));
                    Ok(Done::default())
                } else {
                    Err(Fault::refused(
                        "There is no code in this address. Paste the address at which the browser ended after signing in.",
                        "x",
                    ))
                }
            }
            Action::Credential(Credential::List) => {
                ctx.sleep(Duration::from_millis(500)).await;
                Ok(Done {
                    output: json!([
                {"id":"1","name":"Anna","kind":"admin","state":"set"},
                {"id":"2","name":"Cleaning","kind":"temporary","state":"set","schedule":{"weekdays":["tue","fri"],"hours":"08:00-12:00"}},
                {"id":"3","name":"Guest Jonas","kind":"temporary","state":"setting","schedule":{"from":"2026-11-24T15:00","until":"2026-11-27T10:00"}},
                {"id":"4","name":"Old tenant","kind":"normal","state":"removing"}]),
                    ..Done::default()
                })
            }
            Action::Credential(_) => Ok(Done::default()),
            _ => Err(Fault::refused("No.", "x")),
        }
    }
}
fn lease(ctx: &dyn Ctx, fresh: bool) -> Lease {
    Lease {
        id: "oauth".into(),
        kind: "oauth_token",
        not_after: Some(ctx.now().utc.plus(Duration::from_secs(6 * 86400 + 7000))),
        margin: Some(Duration::from_secs(300)),
        fresh,
    }
}
impl Driver for V {
    fn about(&self) -> &About {
        &self.about
    }
    fn act<'a>(&'a self, ctx: &'a dyn Ctx, t: &'a Target, a: Action) -> BoxFuture<'a, Result<Done, Fault>> {
        Box::pin(self.go(ctx, t, a))
    }
    fn watch<'a>(&'a self, ctx: &'a dyn Ctx, mut stop: BoxFuture<'a, ()>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if self.key == "new" {
                stop.await;
                return;
            }
            if self.key == "shop" {
                ctx.report(Report::Lease(Lease {
                    not_after: Some(ctx.now().utc.minus(Duration::from_secs(4000))),
                    margin: Some(Duration::from_secs(300)),
                    ..lease(ctx, false)
                }));
                ctx.report(Report::Found(vec![Found {
                    external: "shop".into(),
                    name: "Shop entrance".into(),
                    kind: DoorKind::Bolt,
                    capabilities: vec![Capability::Lock, Capability::Unlock],
                    raw: Value::Null,
                }]));
                stop.await;
                return;
            }
            ctx.report(Report::Found(
                HOME.iter()
                    .map(|(e, n)| Found {
                        external: (*e).into(),
                        name: (*n).into(),
                        kind: if *e == "gate" { DoorKind::Strike } else { DoorKind::Bolt },
                        capabilities: if *e == "gate" {
                            vec![Capability::Open]
                        } else {
                            vec![Capability::Lock, Capability::Unlock, Capability::Refresh, Capability::Pin]
                        },
                        raw: Value::Null,
                    })
                    .collect(),
            ));
            ctx.report(Report::Lease(lease(ctx, true)));
            ctx.report(Report::Up);
            loop {
                for (e, _) in HOME {
                    ctx.report(Report::Seen {
                        external: (*e).into(),
                        sight: {
                            let mut s = self.sight(ctx, e);
                            if *e == "back" {
                                s.how = How::Pushed;
                            }
                            s
                        },
                    });
                }
                tokio::select! { () = &mut stop => return, () = ctx.sleep(Duration::from_secs(20)) => {} }
            }
        })
    }
}
#[tokio::main]
async fn main() {
    let empty = std::env::args().nth(1).as_deref() == Some("empty");
    let port: u16 = std::env::args().nth(2).and_then(|p| p.parse().ok()).unwrap_or(28080);
    let folder = std::env::temp_dir().join(format!("doorward-preview-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let now = clock.now().utc;
    let store =
        Store::open(&OpenOptions::new(format!("sqlite:{}", folder.join("doorward.db").display()), MasterKey::from_bytes([7; 32]), now))
            .await
            .unwrap();
    store.put_site(&Site { id: "home".into(), name: "Home".into(), time_zone: "Europe/Berlin".into() }).await.unwrap();
    let anna = store.add_person("Anna", "administrator", now.minus(Duration::from_secs(86400 * 90))).await.unwrap();
    store.add_person("Jonas Weber", "administrator", now).await.unwrap();
    store.put_session(b"preview", Some(&anna.id), br#"{"csrf":"csrf"}"#, now.plus(Duration::from_secs(86400))).await.unwrap();
    let (handle, _stop) = House { store: store.clone(), clock, drivers: TABLE }.start().await.unwrap();
    let actor = Actor { kind: ActorKind::Person, id: anna.id.clone(), name: Some("Anna".into()) };
    let settings = |key: &str| Settings {
        values: BTreeMap::from([("access_key".into(), json!(key))]),
        secrets: BTreeMap::from([("secret_key".into(), Secret::from("s"))]),
    };
    if !empty {
        handle.add_account("utec", "Home", settings("home"), &actor).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        handle.add_account("utec", "Workshop", settings("shop"), &actor).await.unwrap();
        handle.add_account("utec", "Studio flat", settings("new"), &actor).await.unwrap();
        store
            .add_token(Some(&anna.id), "Home Assistant", &["doors:act".parse().unwrap(), "events:read".parse().unwrap()], None, now)
            .await
            .unwrap();
    }
    let log = Logbook::default();
    for (l, t) in [
        ("INFO", "Access token refreshed successfully account=home not_after=2026-11-29T14:10:00.000Z"),
        ("WARN", "the vendor cannot be reached; trying again in 8 s error=connection reset by peer"),
        ("ERROR", "Token refresh failed: invalid_grant"),
    ] {
        log.push(LogLine { time: Time::from(now), level: l, target: "doorward_utec::tokens".into(), text: t.into() });
    }
    let config = WebConfig {
        data: folder.clone(),
        allow_plain: std::env::var("PLAIN").is_ok(),
        problems: if empty { vec![] } else { vec!["public.listen 0.0.0.0:8443: address already in use".into()] },
        settings: vec![
            ("http.listen".into(), "127.0.0.1:8000".into(), "default".into()),
            ("http.public_url".into(), "https://doors.example".into(), "file".into()),
            ("log.level".into(), "info".into(), "database".into()),
            ("store.url".into(), "sqlite:doorward.db".into(), "environment".into()),
        ],
        ..WebConfig::default()
    };
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle();
    let web = Web::new(handle, config, log, metrics);
    println!("link http://127.0.0.1:{port}/link/{}", store.add_link(&anna.id, now.plus(Duration::from_secs(900))).await.unwrap().reveal());
    let listener = tokio::net::TcpListener::bind(("0.0.0.0", port)).await.unwrap();
    axum::serve(listener, serve::private_router(&web).into_make_service_with_connect_info::<serve::Peer>()).await.unwrap();
    let _ = AutoLock::default();
}
