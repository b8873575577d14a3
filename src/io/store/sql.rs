//! How the words of `domain` read as values of SQLite. A value that is none of them makes the
//! read fail as corrupt, never a guess.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::domain::action::{Class, StateName};
use crate::domain::breaker::Breaker;
use crate::domain::decision::Fate;
use crate::domain::ids::{ActionId, AttemptId, MachineId, Sha1, TenantName};
use crate::domain::scope::Scope;
use crate::domain::time::{Boot, BootId, Stamp, Wall};

/// A value kept as JSON text.
pub(super) struct Json<T>(pub T);

/// The canonical JSON of one of our own types.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("our own types have text keys and finite numbers")
}

impl<T: Serialize> ToSql for Json<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(json(&self.0).into())
    }
}

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map(Json).map_err(FromSqlError::other)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no {1}")]
struct NoSuch(String, &'static str);

macro_rules! blob {
    ($($name:ident: $bytes:expr, $back:expr;)*) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                let bytes: fn(&$name) -> &[u8] = $bytes;
                Ok(ToSqlOutput::Borrowed(ValueRef::Blob(bytes(self))))
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                FromSql::column_result(value).map($back)
            }
        }
    )*};
}

blob! {
    ActionId: |id| id.0.as_bytes(), |bytes| ActionId(Uuid::from_bytes(bytes));
    AttemptId: |id| id.0.as_bytes(), |bytes| AttemptId(Uuid::from_bytes(bytes));
    MachineId: |id| id.as_bytes(), MachineId::from_bytes;
    Sha1: |id| id.as_bytes(), Sha1::from_bytes;
}

macro_rules! word {
    ($($name:ident $what:literal)*) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.as_str().into())
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                let text = value.as_str()?;
                $name::parse(text).ok_or_else(|| FromSqlError::other(NoSuch(text.into(), $what)))
            }
        }
    )*};
}

word! { StateName "state" Fate "fate" Breaker "breaker" }

impl ToSql for TenantName {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

impl FromSql for TenantName {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str().map(TenantName::new)
    }
}

impl ToSql for Wall {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.into())
    }
}

impl FromSql for Wall {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Wall)
    }
}

impl ToSql for Scope {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.key().into())
    }
}

impl FromSql for Scope {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?;
        Scope::from_key(text).ok_or_else(|| FromSqlError::other(NoSuch(text.into(), "scope")))
    }
}

/// A lower number goes first.
impl ToSql for Class {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let number: i64 = match self {
            Class::Urgent => 0,
            Class::Normal => 1,
            Class::Bulk => 2,
        };
        Ok(number.into())
    }
}

impl FromSql for Class {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_i64()? {
            0 => Ok(Class::Urgent),
            1 => Ok(Class::Normal),
            2 => Ok(Class::Bulk),
            other => Err(FromSqlError::OutOfRange(other)),
        }
    }
}

/// The 32 bytes of a stamp: boot id, boot time, wall time.
pub(super) fn stamp_bytes(stamp: &Stamp) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&stamp.boot_id.0);
    bytes[16..24].copy_from_slice(&stamp.boot.0.to_be_bytes());
    bytes[24..].copy_from_slice(&stamp.wall.0.to_be_bytes());
    bytes
}

impl ToSql for Stamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(stamp_bytes(self).to_vec().into())
    }
}

impl FromSql for Stamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bytes: [u8; 32] = FromSql::column_result(value)?;
        let number = |from: usize| {
            i64::from_be_bytes(bytes[from..from + 8].try_into().expect("eight bytes"))
        };
        let boot_id = BootId(bytes[..16].try_into().expect("sixteen bytes"));
        Ok(Stamp { boot_id, boot: Boot(number(16)), wall: Wall(number(24)) })
    }
}
