//! How the queries of a transaction reach the database.

use std::{borrow::Cow, fmt::Write as _};

use futures::TryStreamExt as _;
use sqlx::{
    AnyConnection, Arguments as _, AssertSqlSafe, Either, Executor as _, SqlSafeStr as _,
    any::{AnyArguments, AnyRow},
    error::BoxDynError,
};
use tracewell_telemetry::{DbCall, db_batch};

use super::{Engine, Query, query::Value};

/// A text of more statements is prepared anew each time: there are as many such texts as there are numbers of statements, and each
/// that is kept holds a prepared statement for each of its own.
const MOST_KEPT: usize = 16;

/// What the database says to a query.
#[derive(Default)]
pub(super) struct Answer {
    pub(super) rows: Vec<AnyRow>,
    /// Rows that it changed.
    pub(super) changed: u64,
}

/// What became of queries.
pub(super) struct Outcome {
    /// How many were run, up to the first that failed.
    pub(super) run: usize,
    /// What was said to the one that was asked for.
    pub(super) answer: Result<Answer, sqlx::Error>,
}

/// Runs the queries one after the other; `asked` is the index of the one whose answer is needed.
pub(super) async fn send(
    engine: Engine,
    connection: &mut AnyConnection,
    queries: Vec<Query>,
    asked: usize,
) -> Outcome {
    let mut answers = Answers {
        asked,
        run: 0,
        answer: Answer::default(),
    };
    let batches: Vec<_> = match engine {
        Engine::Sqlite => vec![Batch::of(queries)],
        // Takes one statement at a time, if it has values.
        Engine::Postgres => queries.into_iter().map(|query| Batch::of(vec![query])).collect(),
    };
    for batch in batches {
        let call = batch.call.system(engine.system());
        let run = answers.receive(connection, batch.statements);
        if let Err(error) = call.run(run).await {
            return Outcome {
                run: answers.run,
                answer: Err(error),
            };
        }
    }
    Outcome {
        run: answers.run,
        answer: Ok(answers.answer),
    }
}

/// Queries as one text.
struct Batch {
    call: DbCall,
    statements: Statements,
}

struct Statements {
    text: Cow<'static, str>,
    values: Vec<Value>,
    /// Whether to keep them prepared.
    is_kept: bool,
}

impl Batch {
    fn of(queries: Vec<Query>) -> Self {
        let described = queries
            .iter()
            .filter(|query| !query.is_control() || queries.len() == 1);
        let described: Vec<_> = described.map(|query| (query.operation(), query.table)).collect();
        let is_kept = queries.len() <= MOST_KEPT;
        let (mut text, mut values) = (Cow::Borrowed(""), Vec::new());
        for query in queries {
            if text.is_empty() {
                text = query.sql.into();
            } else {
                let text = text.to_mut();
                text.push_str("; ");
                renumber(query.sql, values.len(), text);
            }
            values.extend(query.values);
        }
        Self {
            call: db_batch(&described, text.clone()),
            statements: Statements {
                text,
                values,
                is_kept,
            },
        }
    }
}

/// Writes a statement with its placeholders behind so many others. None has a `$` that is none.
fn renumber(sql: &str, before: usize, to: &mut String) {
    let mut parts = sql.split('$');
    to.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        let number = part[..end].parse::<usize>().unwrap_or_default();
        // Writing to a text never fails.
        let _ = write!(to, "${}{}", number + before, &part[end..]);
    }
}

/// What has come so far.
struct Answers {
    asked: usize,
    run: usize,
    answer: Answer,
}

impl Answers {
    async fn receive(
        &mut self,
        connection: &mut AnyConnection,
        Statements {
            text,
            values,
            is_kept,
        }: Statements,
    ) -> Result<(), sqlx::Error> {
        let text = match text {
            Cow::Borrowed(text) => text.into_sql_str(),
            // Put together of texts of the program, without any value.
            Cow::Owned(text) => AssertSqlSafe(text).into_sql_str(),
        };
        let statements = sqlx::query_with(text, arguments(values).map_err(sqlx::Error::Encode)?);
        let mut steps = connection.fetch_many(statements.persistent(is_kept));
        while let Some(step) = steps.try_next().await? {
            let is_asked = self.run == self.asked;
            match step {
                Either::Right(row) if is_asked => self.answer.rows.push(row),
                Either::Right(_) => {}
                Either::Left(result) => {
                    if is_asked {
                        self.answer.changed = result.rows_affected();
                    }
                    self.run += 1;
                }
            }
        }
        Ok(())
    }
}

/// The values as the driver takes them.
pub(super) fn arguments(values: Vec<Value>) -> Result<AnyArguments, BoxDynError> {
    let mut arguments = AnyArguments::default();
    for value in values {
        match value {
            Value::Text(text) => arguments.add(text),
            Value::Integer(number) => arguments.add(number),
        }?;
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::query;

    #[test]
    fn each_statement_of_a_batch_keeps_its_values() {
        let batch = Batch::of(vec![
            query("", "BEGIN IMMEDIATE"),
            query("notes", "INSERT INTO notes (id, at) VALUES ($1, $2)")
                .bind("a")
                .bind(1),
            query("notes", "UPDATE notes SET at = $2 WHERE id = $1 OR at = $2")
                .bind("b")
                .bind(2),
            query("", "COMMIT"),
        ]);
        assert_eq!(
            batch.statements.text,
            "BEGIN IMMEDIATE; INSERT INTO notes (id, at) VALUES ($1, $2); \
             UPDATE notes SET at = $4 WHERE id = $3 OR at = $4; COMMIT"
        );
        assert_eq!(
            batch.statements.values,
            ["a".into(), 1.into(), "b".into(), 2.into()]
        );
    }

    #[test]
    fn a_single_statement_is_sent_as_it_is() {
        let sql = "SELECT id FROM notes WHERE at > $1";
        let batch = Batch::of(vec![query("notes", sql).bind(1)]);
        assert!(matches!(batch.statements.text, Cow::Borrowed(text) if text == sql));
    }

    #[test]
    fn only_texts_of_a_few_statements_are_kept_prepared() {
        let of = |count: usize| Batch::of((0..count).map(|_| query("notes", "DELETE FROM notes")).collect());
        assert!(of(MOST_KEPT).statements.is_kept);
        assert!(!of(MOST_KEPT + 1).statements.is_kept);
    }
}
