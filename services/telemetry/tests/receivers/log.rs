//! Log lines, as pino's own viewer reads them.

use serde_json::Value;

use crate::fixture::{Greeter, Tools, as_pino_shows};

#[tokio::test]
async fn pino_shows_each_line_with_its_time_its_level_and_its_message() {
    let Some(tools) = Tools::find() else { return };
    let greeter = Greeter::start(&[]).await;
    for (path, status) in [
        ("/debug/message", 200),
        ("/debug/4xx", 404),
        ("/debug/error", 500),
        ("/debug/panic", 500),
    ] {
        assert_eq!(greeter.get(path).await.status, status, "{path}");
    }
    let log = greeter.end().await.log;
    let level = |line: &Value| match line["level"].as_u64() {
        Some(30) => "INFO",
        Some(40) => "WARN",
        Some(50) => "ERROR",
        Some(60) => "FATAL",
        other => panic!("level {other:?}"),
    };
    let mut levels: Vec<_> = log.iter().map(level).collect();
    let lines: Vec<_> = log.iter().map(Value::to_string).collect();
    let shown = as_pino_shows(&tools, &(lines.join("\n") + "\n"));
    for line in &log {
        let time = jiff::Timestamp::from_millisecond(line["time"].as_i64().unwrap()).unwrap();
        let head = format!("[{}] {} (", time.strftime("%Y-%m-%d %H:%M:%S.%3f"), level(line));
        let message = line["msg"].as_str().unwrap();
        assert!(
            shown
                .lines()
                .any(|line| line.starts_with(&head) && line.ends_with(message)),
            "{head}… {message}: not in\n{shown}"
        );
    }
    levels.sort_unstable();
    levels.dedup();
    assert_eq!(levels, ["ERROR", "FATAL", "INFO", "WARN"]);
}
