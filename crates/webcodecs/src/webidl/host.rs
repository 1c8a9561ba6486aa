//! What the bindings need of the JavaScript around them: `js/webidl.js` hands it over.
//!
//! It is kept in the context's extras binding object, which no script can reach and which a start-up snapshot
//! preserves. Handles to it are made on first use.

use std::rc::Rc;

use deno_core::{JsRuntime, op2, v8};

use super::callback::end_script;
use super::{DomExceptionName, Exception};

const KEY: &str = "reelcore.webidl";

macro_rules! host {
    ($($field:ident $name:literal;)*) => {
        /// The functions of `js/webidl.js`.
        #[derive(Default)]
        pub struct Host { $($field: Option<v8::Global<v8::Function>>,)* }

        impl Host {
            fn read<'s>(scope: &mut v8::PinScope<'s, '_>, host: v8::Local<'s, v8::Object>) -> Self {
                Self { $($field: read_function(scope, host, $name),)* }
            }
        }
    };
}

host! {
    create_dom_exception "createDOMException";
    create_dom_rect "createDOMRectReadOnly";
    init_event_target "initEventTarget";
    fire_event "fireEvent";
    get_event_handler "getEventHandler";
    set_event_handler "setEventHandler";
    report_exception "reportException";
    canvas_size "canvasSize";
    canvas_context "canvasContext";
    canvas_bitmap "canvasBitmap";
}

fn read_function<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    host: v8::Local<'s, v8::Object>,
    name: &'static str,
) -> Option<v8::Global<v8::Function>> {
    let key = super::convert::key_string(scope, name);
    let function = v8::Local::<v8::Function>::try_from(host.get(scope, key.into())?).ok()?;
    Some(v8::Global::new(scope, function))
}

/// Called once by `js/webidl.js`.
#[op2(fast)]
pub(crate) fn op_webidl_set_host<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    host: v8::Local<'s, v8::Object>,
) {
    let extras = scope.get_current_context().get_extras_binding_object(scope);
    let key = super::convert::key_string(scope, KEY);
    extras.set(scope, key.into(), host.into());
}

impl Host {
    /// The host of the current realm.
    pub fn get(scope: &mut v8::PinScope<'_, '_>) -> Rc<Self> {
        let state = JsRuntime::op_state_from(scope);
        if let Some(host) = state.borrow().try_borrow::<Rc<Self>>() {
            return host.clone();
        }
        let extras = scope.get_current_context().get_extras_binding_object(scope);
        let key = super::convert::key_string(scope, KEY);
        let object = extras
            .get(scope, key.into())
            .and_then(|host| v8::Local::<v8::Object>::try_from(host).ok());
        // Without the extension's JavaScript nothing of the bindings can be reached, so this has no user.
        let Some(object) = object else {
            return Rc::default();
        };
        let host = Rc::new(Self::read(scope, object));
        state.borrow_mut().put(host.clone());
        host
    }

    fn call<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        function: Option<&v8::Global<v8::Function>>,
        arguments: &[v8::Local<'s, v8::Value>],
    ) -> Option<v8::Local<'s, v8::Value>> {
        let function = v8::Local::new(scope, function?);
        let this = v8::undefined(scope).into();
        function.call(scope, this, arguments)
    }

    /// A new DOMException: deno_web's, so that `instanceof DOMException` holds.
    pub fn dom_exception<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        name: DomExceptionName,
        message: &str,
    ) -> Option<v8::Local<'s, v8::Value>> {
        let message = v8::String::new(scope, message)?;
        let name = super::convert::key_string(scope, name.as_str());
        Self::call(
            scope,
            self.create_dom_exception.as_ref(),
            &[message.into(), name.into()],
        )
    }

    /// A new DOMRectReadOnly.
    ///
    /// # Errors
    /// Only when script execution is being terminated.
    pub fn dom_rect_read_only<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        x: f64,
        y: f64,
        width: f64,
        height: f64,
    ) -> Result<v8::Local<'s, v8::Value>, Exception> {
        let arguments = [x, y, width, height].map(|number| v8::Number::new(scope, number).into());
        Self::call(scope, self.create_dom_rect.as_ref(), &arguments).ok_or(Exception::Pending)
    }

    /// Makes an event target of a new object.
    ///
    /// # Errors
    /// Only when script execution is being terminated.
    pub fn init_event_target<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        target: v8::Local<'s, v8::Object>,
    ) -> Result<(), Exception> {
        Self::call(scope, self.init_event_target.as_ref(), &[target.into()])
            .map(drop)
            .ok_or(Exception::Pending)
    }

    /// <https://dom.spec.whatwg.org/#concept-event-fire>: fires an event named `name` at `target`. Call it from a task
    /// of the event loop; it ends with a microtask checkpoint. Exceptions of listeners are reported.
    pub fn fire_event<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        target: v8::Local<'s, v8::Object>,
        name: &'static str,
    ) {
        let name = super::convert::key_string(scope, name);
        let terminated = {
            v8::tc_scope!(let scope, scope);
            let arguments = [target.into(), name.into()];
            let fired = Self::call(scope, self.fire_event.as_ref(), &arguments);
            fired.is_none() && scope.has_terminated()
        };
        end_script(scope, terminated);
    }

    /// <https://html.spec.whatwg.org/#event-handler-idl-attributes>: the getter.
    ///
    /// # Errors
    /// Only when script execution is being terminated.
    pub fn event_handler<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        target: v8::Local<'s, v8::Object>,
        name: &'static str,
    ) -> Result<v8::Local<'s, v8::Value>, Exception> {
        let name = super::convert::key_string(scope, name);
        Self::call(
            scope,
            self.get_event_handler.as_ref(),
            &[target.into(), name.into()],
        )
        .ok_or(Exception::Pending)
    }

    /// <https://html.spec.whatwg.org/#event-handler-idl-attributes>: the setter.
    ///
    /// # Errors
    /// Only when script execution is being terminated.
    pub fn set_event_handler<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        target: v8::Local<'s, v8::Object>,
        name: &'static str,
        handler: v8::Local<'s, v8::Value>,
    ) -> Result<v8::Local<'s, v8::Value>, Exception> {
        let name = super::convert::key_string(scope, name);
        Self::call(
            scope,
            self.set_event_handler.as_ref(),
            &[target.into(), name.into(), handler],
        )
        .ok_or(Exception::Pending)
    }

    /// <https://html.spec.whatwg.org/#report-an-exception>
    pub fn report_exception<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        exception: v8::Local<'s, v8::Value>,
    ) {
        v8::tc_scope!(let scope, scope);
        // Fails only when script execution is being terminated.
        let _ = Self::call(scope, self.report_exception.as_ref(), &[exception]);
    }

    /// Width and height of an OffscreenCanvas; `None` of anything else.
    pub fn canvas_size<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        value: v8::Local<'s, v8::Value>,
    ) -> Option<[u32; 2]> {
        let size = Self::call(scope, self.canvas_size.as_ref(), &[value])?;
        let size = v8::Local::<v8::Array>::try_from(size).ok()?;
        let side = |index| size.get_index(scope, index)?.uint32_value(scope);
        Some([side(0)?, side(1)?])
    }

    /// The context of an OffscreenCanvas, if it has one.
    pub fn canvas_context<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        canvas: v8::Local<'s, v8::Value>,
    ) -> Option<v8::Local<'s, v8::Value>> {
        Self::call(scope, self.canvas_context.as_ref(), &[canvas])
            .filter(|context| context.is_object())
    }

    /// A copy of the bitmap of an OffscreenCanvas with a "bitmaprenderer" context, as an ImageBitmap; `None` only when
    /// script execution is being terminated.
    pub fn canvas_bitmap<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        canvas: v8::Local<'s, v8::Value>,
    ) -> Option<v8::Local<'s, v8::Value>> {
        Self::call(scope, self.canvas_bitmap.as_ref(), &[canvas])
    }
}
