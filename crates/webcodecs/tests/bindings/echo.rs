//! The fixture's algorithms: nearly all of them return what they get.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicIsize, Ordering};

use deno_core::{GarbageCollected, JsRuntime, V8TaskSpawner, v8};
use webcodecs::webidl::{
    BufferSource, DomExceptionName, Exception, Handle, Host, Promise, TracedCallback, Transfer,
};

use crate::generated::*;

static ALIVE: AtomicIsize = AtomicIsize::new(0);

/// How many `Echo`es exist in this process.
pub fn alive() -> isize {
    ALIVE.load(Ordering::SeqCst)
}

/// See `fixture.webidl`.
pub struct Echo {
    label: String,
    level: Cell<u8>,
    fruit: Cell<Fruit>,
    peer: RefCell<v8::TracedReference<v8::Object>>,
    callback: RefCell<Option<TracedCallback>>,
}

// SAFETY: every V8 handle is traced.
unsafe impl GarbageCollected for Echo {
    fn trace(&self, visitor: &mut v8::cppgc::Visitor) {
        visitor.trace(&*self.peer.borrow());
        if let Some(callback) = &*self.callback.borrow() {
            callback.trace(visitor);
        }
    }

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"Echo"
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

type Scope<'a, 's, 'i> = &'a mut v8::PinScope<'s, 'i>;
type Object<'s> = v8::Local<'s, v8::Object>;

macro_rules! echoes {
    ($($name:ident: $type:ty;)*) => {$(
        fn $name<'s>(&self, _: &mut v8::PinScope<'s, '_>, _: Object<'s>, v: $type) -> Result<$type, Exception> {
            Ok(v)
        }
    )*};
}

fn describe(scope: &mut v8::PinScope<'_, '_>, source: &BufferSource<'_>) -> String {
    let _ = scope;
    let sum = source.with_bytes(|bytes| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>());
    format!(
        "{} bytes, sum {sum}, {}",
        source.byte_length(),
        if source.is_shared() { "shared" } else { "own" }
    )
}

impl EchoMethods for Echo {
    fn constructor<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        this: Object<'s>,
        label: String,
    ) -> Result<Self, Exception> {
        if label == "throw" {
            return Err(Exception::invalid_state("told to"));
        }
        // `this` is the new object already.
        let key = v8::String::new(scope, "mark").ok_or(Exception::Pending)?;
        let mark = v8::Integer::new(scope, 1);
        this.set(scope, key.into(), mark.into())
            .ok_or(Exception::Pending)?;
        ALIVE.fetch_add(1, Ordering::SeqCst);
        Ok(Self {
            label,
            level: Cell::new(0),
            fruit: Cell::new(Fruit::Apple),
            peer: RefCell::new(v8::TracedReference::empty()),
            callback: RefCell::new(None),
        })
    }

    fn label(&self) -> String {
        self.label.clone()
    }

    fn size(&self) -> Option<u64> {
        (!self.label.is_empty()).then_some(self.label.len() as u64)
    }

    fn level(&self) -> u8 {
        self.level.get()
    }

    fn set_level<'s>(&self, _: &mut v8::PinScope<'s, '_>, value: u8) -> Result<(), Exception> {
        self.level.set(value);
        Ok(())
    }

    fn fruit(&self) -> Fruit {
        self.fruit.get()
    }

    fn set_fruit<'s>(&self, _: &mut v8::PinScope<'s, '_>, value: Fruit) -> Result<(), Exception> {
        self.fruit.set(value);
        Ok(())
    }

    fn peer<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<Option<Handle<'s, Echo>>, Exception> {
        let Some(peer) = self.peer.borrow().get(scope) else {
            return Ok(None);
        };
        Ok(Handle::from_value(scope, peer.into()))
    }

    fn set_peer<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        value: Option<Handle<'s, Echo>>,
    ) -> Result<(), Exception> {
        self.peer
            .borrow_mut()
            .reset(scope, value.map(|peer| peer.object()));
        Ok(())
    }

    fn ready<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<Promise<'s, String>, Exception> {
        Promise::resolved(scope, &self.label)
    }

    echoes! {
        echo_boolean: bool;
        echo_byte: i8;
        echo_octet: u8;
        echo_short: i16;
        echo_unsigned_short: u16;
        echo_long: i32;
        echo_unsigned_long: u32;
        echo_long_long: i64;
        echo_unsigned_long_long: u64;
        echo_enforced: i32;
        echo_enforced_long_long: u64;
        echo_clamped: u8;
        echo_double: f64;
        echo_unrestricted_double: f64;
        echo_float: f32;
        echo_unrestricted_float: f32;
        echo_string: String;
        echo_usv_string: String;
        echo_any: v8::Local<'s, v8::Value>;
        echo_object: Object<'s>;
        echo_fruit: Fruit;
        echo_echo: Handle<'s, Echo>;
        echo_nullable: Option<f64>;
        echo_sequence: Vec<String>;
        echo_dictionary: Derived<'s>;
        echo_optional_dictionary: Inner;
    }

    fn echo_optional<'s>(
        &self,
        _: &mut v8::PinScope<'s, '_>,
        _: Object<'s>,
        a: Option<i32>,
        b: String,
        c: Option<Fruit>,
    ) -> Result<String, Exception> {
        Ok(format!("{a:?} {b} {c:?}"))
    }

    fn describe_buffer<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        _: Object<'s>,
        v: BufferSource<'s>,
    ) -> Result<String, Exception> {
        Ok(describe(scope, &v))
    }

    fn describe_shared_buffer<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        _: Object<'s>,
        v: BufferSource<'s>,
    ) -> Result<String, Exception> {
        Ok(describe(scope, &v))
    }

    fn describe_view<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        _: Object<'s>,
        v: BufferSource<'s>,
    ) -> Result<String, Exception> {
        Ok(describe(scope, &v))
    }

    fn describe_array_buffer<'s>(
        &self,
        _: &mut v8::PinScope<'s, '_>,
        _: Object<'s>,
        v: v8::Local<'s, v8::ArrayBuffer>,
    ) -> Result<String, Exception> {
        Ok(format!("{} bytes", v.byte_length()))
    }

    fn describe_union<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        _: Object<'s>,
        v: Mixed<'s>,
    ) -> Result<String, Exception> {
        Ok(match v {
            Mixed::Echo(echo) => format!("Echo {}", echo.label),
            Mixed::BufferSource(source) => format!("buffer of {}", describe(scope, &source)),
            Mixed::Sequence(elements) => format!("sequence {elements:?}"),
            Mixed::Boolean(value) => format!("boolean {value}"),
            Mixed::Double(value) => format!("double {value}"),
            Mixed::String(value) => format!("string {value}"),
        })
    }

    fn describe_named<'s>(
        &self,
        _: &mut v8::PinScope<'s, '_>,
        _: Object<'s>,
        v: Named,
    ) -> Result<String, Exception> {
        Ok(match v {
            Named::Inner(inner) => format!("dictionary {}", inner.x),
            Named::Fruit(fruit) => format!("enum {}", fruit.as_str()),
        })
    }

    fn make_buffer<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        _: Object<'s>,
        fill: u8,
        length: u32,
    ) -> Result<v8::Local<'s, v8::ArrayBuffer>, Exception> {
        let bytes = vec![fill; length as usize];
        BufferSource::from_bytes(scope, &bytes)
            .array_buffer(scope)
            .ok_or(Exception::Pending)
    }

    fn transfer<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        _: Object<'s>,
        data: BufferSource<'s>,
        transfer: Vec<v8::Local<'s, v8::ArrayBuffer>>,
    ) -> Result<String, Exception> {
        let address = data.with_bytes(<[u8]>::as_ptr);
        let transfer = Transfer::new(&transfer)?;
        let bytes = transfer.finish(scope, &data)?;
        let how = if bytes.as_ptr() == address {
            "same memory"
        } else {
            "copy"
        };
        Ok(format!("{how}: {:?}", &bytes[..]))
    }

    fn call_sum<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        _: Object<'s>,
        callback: Sum<'s>,
        a: f64,
        b: String,
    ) -> Result<f64, Exception> {
        callback.call(scope, &a, &b)
    }

    fn keep<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        _: Object<'s>,
        callback: Notify<'s>,
    ) -> Result<(), Exception> {
        let callback = callback.traced(scope);
        *self.callback.borrow_mut() = Some(callback);
        Ok(())
    }

    fn notify_later<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        this: Object<'s>,
    ) -> Result<(), Exception> {
        spawn(scope, this, |scope, echo| {
            let callback = {
                let kept = echo.callback.borrow();
                kept.as_ref()
                    .and_then(|callback| Notify::from_traced(scope, callback))
            };
            if let Some(callback) = callback {
                callback
                    .call_and_report(scope, &echo, &Inner { x: 42.0 })
                    .expect("arguments are converted");
            }
        });
        Ok(())
    }

    fn ping<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        this: Object<'s>,
    ) -> Result<(), Exception> {
        spawn(scope, this, |scope, echo| {
            Host::get(scope).fire_event(scope, echo.object(), "ping")
        });
        Ok(())
    }

    fn pick_number<'s>(
        &self,
        _: &mut v8::PinScope<'s, '_>,
        _: Object<'s>,
        v: f64,
    ) -> Result<String, Exception> {
        Ok(format!("number {v}"))
    }

    fn pick_string<'s>(
        &self,
        _: &mut v8::PinScope<'s, '_>,
        _: Object<'s>,
        v: String,
    ) -> Result<String, Exception> {
        Ok(format!("string {v}"))
    }

    fn pick_echo<'s>(
        &self,
        _: &mut v8::PinScope<'s, '_>,
        _: Object<'s>,
        v: Handle<'s, Echo>,
        n: i32,
    ) -> Result<String, Exception> {
        Ok(format!("echo {} {n}", v.label))
    }

    fn pick_buffer<'s>(
        &self,
        _: &mut v8::PinScope<'s, '_>,
        _: Object<'s>,
        v: BufferSource<'s>,
        inner: Inner,
        flag: bool,
    ) -> Result<String, Exception> {
        Ok(format!("buffer {} {} {flag}", v.byte_length(), inner.x))
    }

    fn later<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        this: Object<'s>,
        v: u32,
    ) -> Result<Promise<'s, u32>, Exception> {
        let (promise, deferred) = Promise::pending(scope)?;
        spawn(scope, this, move |scope, _| {
            deferred.resolve(scope, &v).expect("a number is converted");
        });
        Ok(promise)
    }

    fn later_fails<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        this: Object<'s>,
        v: String,
    ) -> Result<Promise<'s, ()>, Exception> {
        if v == "now" {
            return Err(Exception::abort("at once"));
        }
        let (promise, deferred) = Promise::<()>::pending(scope)?;
        spawn(scope, this, move |scope, _| {
            deferred.reject(scope, &Exception::operation(v))
        });
        Ok(promise)
    }

    fn later_static<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        v: Derived<'s>,
    ) -> Result<Promise<'s, String>, Exception> {
        Promise::resolved(scope, &format!("{} {}", v.alpha, v.middle))
    }

    fn add<'s>(_: &mut v8::PinScope<'s, '_>, a: i32, b: i32) -> Result<i32, Exception> {
        Ok(a.wrapping_add(b))
    }

    fn throw_type_error<'s>(
        &self,
        _: &mut v8::PinScope<'s, '_>,
        _: Object<'s>,
        message: String,
    ) -> Result<(), Exception> {
        Err(Exception::type_error(message))
    }

    fn throw_range_error<'s>(
        &self,
        _: &mut v8::PinScope<'s, '_>,
        _: Object<'s>,
        message: String,
    ) -> Result<(), Exception> {
        Err(Exception::range_error(message))
    }

    fn throw_dom_exception<'s>(
        &self,
        _: &mut v8::PinScope<'s, '_>,
        _: Object<'s>,
        message: String,
    ) -> Result<(), Exception> {
        Err(Exception::dom(
            DomExceptionName::QuotaExceededError,
            message,
        ))
    }

    fn throw_value<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        _: Object<'s>,
        value: v8::Local<'s, v8::Value>,
    ) -> Result<(), Exception> {
        Err(Exception::value(scope, value))
    }
}

/// Runs `task` from the event loop.
fn spawn<'s>(
    scope: Scope<'_, 's, '_>,
    this: Object<'s>,
    task: impl for<'t> FnOnce(&mut v8::PinScope<'t, '_>, Handle<'t, Echo>) + 'static,
) {
    let spawner = JsRuntime::op_state_from(scope)
        .borrow()
        .borrow::<V8TaskSpawner>()
        .clone();
    let this = v8::Global::new(scope, this);
    spawner.spawn(move |scope| {
        let object = v8::Local::new(scope, this);
        let echo = Handle::from_value(scope, object.into()).expect("an Echo");
        task(scope, echo);
    });
}

/// See `fixture.webidl`.
pub struct NoConstructor;

// SAFETY: holds no V8 handle, so there is nothing to trace.
unsafe impl GarbageCollected for NoConstructor {
    fn trace(&self, _: &mut v8::cppgc::Visitor) {}

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"NoConstructor"
    }
}

impl NoConstructorMethods for NoConstructor {
    fn here(&self) -> bool {
        true
    }
}

/// See `fixture.webidl`.
pub struct Shape {
    width: f64,
    height: Option<f64>,
}

// SAFETY: holds no V8 handle, so there is nothing to trace.
unsafe impl GarbageCollected for Shape {
    fn trace(&self, _: &mut v8::cppgc::Visitor) {}

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"Shape"
    }
}

impl ShapeMethods for Shape {
    fn from_size<'s>(
        _: &mut v8::PinScope<'s, '_>,
        width: f64,
        height: f64,
    ) -> Result<Self, Exception> {
        Ok(Self {
            width,
            height: Some(height),
        })
    }

    fn from_shape<'s>(
        _: &mut v8::PinScope<'s, '_>,
        other: Handle<'s, Shape>,
    ) -> Result<Self, Exception> {
        Ok(Self {
            width: other.width,
            height: other.height,
        })
    }

    fn from_nothing<'s>(_: &mut v8::PinScope<'s, '_>) -> Result<Self, Exception> {
        Ok(Self {
            width: 0.0,
            height: None,
        })
    }

    fn width(&self) -> f64 {
        self.width
    }

    fn height(&self) -> Option<f64> {
        self.height
    }

    fn kind(&self) -> Fruit {
        Fruit::NoPear
    }

    fn anything<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<v8::Local<'s, v8::Value>, Exception> {
        Ok(v8::null(scope).into())
    }

    fn create<'s>(scope: &mut v8::PinScope<'s, '_>) -> Result<Handle<'s, Shape>, Exception> {
        Handle::new(
            scope,
            Self {
                width: 9.0,
                height: None,
            },
        )
    }
}
