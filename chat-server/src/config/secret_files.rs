//! The options for files that contain secrets.

use clap::Args;

/// Files that secrets are read from, in place of the variables without `_FILE`. A newline at the end does not count.
#[derive(Clone, Default, Args)]
#[command(next_help_heading = "Secrets from files")]
pub struct SecretFiles {
    /// File that holds JWT_SECRET
    #[arg(long, env = "JWT_SECRET_FILE", value_name = "FILE")]
    pub jwt_secret_file: Option<String>,
    /// File that holds CHAT_OLD_JWT_SECRET; there may also be one secret a line
    #[arg(long, env = "CHAT_OLD_JWT_SECRET_FILE", value_name = "FILE")]
    pub old_jwt_secret_file: Option<String>,
    /// File that holds CHAT_STORE
    #[arg(long, env = "CHAT_STORE_FILE", value_name = "FILE")]
    pub store_file: Option<String>,
    /// File that holds MONGO_URI
    #[arg(long, env = "MONGO_URI_FILE", value_name = "FILE")]
    pub mongo_uri_file: Option<String>,
    /// File that holds MONGODB_URI
    #[arg(long, env = "MONGODB_URI_FILE", value_name = "FILE")]
    pub mongodb_uri_file: Option<String>,
    /// File that holds REDIS_URL
    #[arg(long, env = "REDIS_URL_FILE", value_name = "FILE")]
    pub redis_url_file: Option<String>,
    /// File that holds CLOUDINARY_API_KEY
    #[arg(long, env = "CLOUDINARY_API_KEY_FILE", value_name = "FILE")]
    pub cloudinary_api_key_file: Option<String>,
    /// File that holds CLOUDINARY_API_SECRET
    #[arg(long, env = "CLOUDINARY_API_SECRET_FILE", value_name = "FILE")]
    pub cloudinary_api_secret_file: Option<String>,
    /// File that holds CHAT_FILES_S3_SECRET
    #[arg(long, env = "CHAT_FILES_S3_SECRET_FILE", value_name = "FILE")]
    pub files_s3_secret_file: Option<String>,
    /// File that holds RESEND_API_KEY
    #[arg(long, env = "RESEND_API_KEY_FILE", value_name = "FILE")]
    pub resend_api_key_file: Option<String>,
}
