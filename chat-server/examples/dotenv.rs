//! Prints what the server reads in files that are written as `.env` files are: a JSON array with an entry for each file,
//! `{"values": {…}, "brokenLine": null}`. For the test that compares it with Node's `dotenv`.
//!
//! ```sh
//! cargo run -p chat-server --example dotenv -- one.env another.env
//! ```

#[path = "../src/dotenv/parse.rs"]
mod parse;

fn main() -> std::io::Result<()> {
    let read = |path: String| {
        let parsed = parse::parse(&std::fs::read_to_string(path)?, |_| false);
        Ok(serde_json::json!({ "values": parsed.values, "brokenLine": parsed.broken_line }))
    };
    let all = std::env::args().skip(1).map(read).collect::<std::io::Result<Vec<_>>>()?;
    println!("{}", serde_json::Value::from(all));
    Ok(())
}
