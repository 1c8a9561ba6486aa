//! What the outside sees of a shader module: entry points, overrides, bindings and the layout of
//! their memory. Two modules of one interface fit the same pipelines.

use std::collections::{BTreeMap, BTreeSet};

use naga::valid::{GlobalUse, ModuleInfo};
use naga::{ArraySize, Handle, Module, Type, TypeInner};

/// The interface of a module.
#[derive(Debug, PartialEq)]
pub(super) struct Interface {
    entry_points: Vec<EntryPoint>,
    /// Name, `@id`, type, and whether there is a default.
    overrides: BTreeSet<(String, Option<u16>, String, bool)>,
    /// Address space and type of each `@group` and `@binding`.
    bindings: BTreeMap<(u32, u32), String>,
}

#[derive(Debug, PartialEq)]
struct EntryPoint {
    name: String,
    stage: naga::ShaderStage,
    /// Per dimension: the size, or `None` where overrides decide.
    workgroup_size: [Option<u32>; 3],
    early_depth_test: Option<naga::EarlyDepthTest>,
    /// The bindings it uses, and whether it writes to them.
    uses: BTreeMap<(u32, u32), bool>,
    inputs: Vec<String>,
    output: Option<String>,
}

impl Interface {
    /// The interface of `module`. Overrides that `is_own` tells are left out.
    pub(super) fn of(module: &Module, info: &ModuleInfo, is_own: impl Fn(&str) -> bool) -> Self {
        let entry_points = module
            .entry_points
            .iter()
            .enumerate()
            .map(|(index, entry_point)| EntryPoint {
                name: entry_point.name.clone(),
                stage: entry_point.stage,
                workgroup_size: std::array::from_fn(|i| {
                    let over = entry_point.workgroup_size_overrides.and_then(|o| o[i]);
                    over.is_none().then_some(entry_point.workgroup_size[i])
                }),
                early_depth_test: entry_point.early_depth_test,
                uses: uses(module, info, index),
                inputs: entry_point
                    .function
                    .arguments
                    .iter()
                    .map(|a| format!("{:?} {}", a.binding, shape(module, a.ty)))
                    .collect(),
                output: entry_point
                    .function
                    .result
                    .as_ref()
                    .map(|r| format!("{:?} {}", r.binding, shape(module, r.ty))),
            })
            .collect();
        let overrides = module
            .overrides
            .iter()
            .filter_map(|(_, over)| {
                let name = over.name.clone().filter(|name| !is_own(name))?;
                let ty = shape(module, over.ty);
                Some((name, over.id, ty, over.init.is_some()))
            })
            .collect();
        let bindings = module
            .global_variables
            .iter()
            .filter_map(|(_, global)| {
                let binding = global.binding?;
                let shape = format!("{:?} {}", global.space, shape(module, global.ty));
                Some(((binding.group, binding.binding), shape))
            })
            .collect();
        Self {
            entry_points,
            overrides,
            bindings,
        }
    }
}

fn uses(module: &Module, info: &ModuleInfo, entry_point: usize) -> BTreeMap<(u32, u32), bool> {
    let info = info.get_entry_point(entry_point);
    module
        .global_variables
        .iter()
        .filter_map(|(handle, global)| {
            let binding = global.binding?;
            let used = info[handle];
            (!used.is_empty()).then(|| {
                (
                    (binding.group, binding.binding),
                    used.contains(GlobalUse::WRITE),
                )
            })
        })
        .collect()
}

/// A type without names and handles, with the offsets of members and the strides of arrays.
fn shape(module: &Module, ty: Handle<Type>) -> String {
    match &module.types[ty].inner {
        TypeInner::Array { base, size, stride } => {
            let size = match size {
                ArraySize::Constant(size) => size.to_string(),
                ArraySize::Pending(_) => "override".to_owned(),
                ArraySize::Dynamic => "?".to_owned(),
            };
            format!("[{size} by {stride}: {}]", shape(module, *base))
        }
        TypeInner::BindingArray { base, .. } => format!("array of {}", shape(module, *base)),
        TypeInner::Struct { members, span } => {
            let members: Vec<String> = members
                .iter()
                .map(|m| format!("{} {:?} {}", m.offset, m.binding, shape(module, m.ty)))
                .collect();
            format!("{{{}; {span}}}", members.join(", "))
        }
        inner => format!("{inner:?}"),
    }
}
