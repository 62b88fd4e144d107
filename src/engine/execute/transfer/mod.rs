//! Common parts of both copy directions: the request, and the refusal.

pub(in crate::engine) mod breaks;
pub(in crate::engine) mod commit;
pub(in crate::engine) mod download;
pub(in crate::engine) mod download_batch;
pub(in crate::engine) mod download_singly;
pub(in crate::engine) mod portion;
pub(in crate::engine) mod posted;
pub(in crate::engine) mod present_files;
pub(in crate::engine) mod request;
pub(in crate::engine) mod resend;
pub(in crate::engine) mod upload;
pub(in crate::engine) mod upload_queue;
