//! Telling V8 of memory that its objects hold outside of its heap, so that it collects garbage in time.

use std::cell::Cell;
use std::rc::Rc;

use deno_core::{JsRuntime, v8};

/// What was given back where V8 could not be told: in destructors. Told at the next opportunity.
#[derive(Clone, Default)]
struct Ledger(Rc<Cell<i64>>);

/// Bytes that V8 knows of. They are taken back by [`ExternalMemory::release`] at once, or, when the owner is garbage,
/// by dropping this.
pub struct ExternalMemory {
    bytes: Cell<i64>,
    ledger: Ledger,
}

impl ExternalMemory {
    /// Tells V8 of `bytes` more bytes.
    pub fn new(scope: &mut v8::PinScope<'_, '_>, bytes: usize) -> Self {
        let state = JsRuntime::op_state_from(scope);
        let ledger = state.borrow().try_borrow::<Ledger>().cloned();
        let ledger = ledger.unwrap_or_else(|| {
            let ledger = Ledger::default();
            state.borrow_mut().put(ledger.clone());
            ledger
        });
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let change = bytes.saturating_add(ledger.0.take());
        if change != 0 {
            scope.adjust_amount_of_external_allocated_memory(change);
        }
        Self {
            bytes: Cell::new(bytes),
            ledger,
        }
    }

    /// Tells V8 that the bytes are gone. Further calls do nothing.
    pub fn release(&self, scope: &mut v8::PinScope<'_, '_>) {
        let change = self.ledger.0.take().saturating_sub(self.bytes.take());
        if change != 0 {
            scope.adjust_amount_of_external_allocated_memory(change);
        }
    }

    /// How many bytes V8 is still told of.
    pub fn bytes(&self) -> i64 {
        self.bytes.get()
    }
}

impl Drop for ExternalMemory {
    fn drop(&mut self) {
        // Runs inside of the garbage collector: V8 must not be called.
        self.ledger
            .0
            .set(self.ledger.0.get().saturating_sub(self.bytes.get()));
    }
}
