// Package cli is the kubectl plugin: its commands, and what they share.
//
// cmd/kubectl-usersecret calls [Main] and nothing else does. Each command is a
// file with an options type that is completed from flags and arguments,
// validated, and run, as kubectl's own are. What a command needs of the machine
// (streams, terminal, environment, clock, cluster) comes in an [Environment].
//
// It promises that
//   - a value leaves the machine only sealed, but for 'create --test', which sends
//     it to its provider, and is never printed, neither whole nor in part, in no
//     message and no error;
//   - a value is never taken from the command line, which other users of the
//     machine and the shell's history see;
//   - every refusal is one line that says what was wrong and what to do.
package cli
