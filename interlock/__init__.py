"""The central interlock as pure logic: matrix, latch, permit, first fault; its proofs and generators."""
