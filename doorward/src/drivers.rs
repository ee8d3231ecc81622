//! The drivers of this program, in one visible table.

use doorward_core::driver::Entry;

/// Every driver. To add one, see `doorward_core::driver`.
pub(crate) const TABLE: &[Entry] = &[doorward_utec::ENTRY, doorward_bticino::ENTRY, doorward_foreign::ENTRY, doorward_ble::ENTRY];
