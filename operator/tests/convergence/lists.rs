//! How much is listed: what a look costs the API server most, and what it can do without.

use platform_core::kinds::Kind;
use platform_testkit::{Fate, example};

use crate::world::World;

#[test]
fn tmp() {
    let world = World::new(example("demo"));
    world.reconcile().expect("nothing goes wrong");
    eprintln!("first: {:?}", world.cluster.take_lists());
    for i in 0..5 {
        world.settle();
        world.reconcile().expect("nothing goes wrong");
        eprintln!("{i}: {:?} {:?} w{}", world.condition("Ready").0, world.cluster.take_lists(), world.cluster.take_writes().len());
    }
}
