// Leaves at once when there is nothing left to do.
//
// At its natural end, Node 20 waits for requests of sockets that were destroyed in the middle of one, and when such a
// request never ends it spins for ever (`Environment::CleanupHandles`, seen with gdb; one run in thirty or so of the files
// that cut connections). An exit by `process.exit` does not wait.

process.once('beforeExit', () => {
  // After the listeners of the test runner, which say what the exit code is.
  process.on('exit', () => process.exit());
});
