package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// errValueOnCommandLine refuses a value where it would outlive the command.
var errValueOnCommandLine = errors.New("a value is never taken from the command line, where the shell's history and the list of processes would show it: leave it out and you are asked for it, or give --from-file or --from-env")

// explainFlag says what is wrong with a flag. pflag's own messages repeat what
// stands behind the flag, which may be a value in the wrong place; these name
// the flag alone.
func explainFlag(cmd *cobra.Command, err error) error {
	var (
		invalid *pflag.InvalidValueError
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		syntax  *pflag.InvalidSyntaxError
	)
	help := fmt.Sprintf("see '%s --help'", cmd.CommandPath())
	switch {
	case errors.Is(err, errValueOnCommandLine):
		return errValueOnCommandLine
	case errors.As(err, &invalid):
		return fmt.Errorf("the argument of --%s is no %s: %s", invalid.GetFlag().Name, invalid.GetFlag().Value.Type(), help)
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return fmt.Errorf("unknown flag -%c: %s", unknown.GetSpecifiedName()[0], help)
	case errors.As(err, &unknown):
		return fmt.Errorf("unknown flag --%s: %s", unknown.GetSpecifiedName(), help)
	case errors.As(err, &missing):
		return fmt.Errorf("flag --%s needs an argument: %s", missing.GetFlag().Name, help)
	case errors.As(err, &syntax):
		return fmt.Errorf("a flag is written --name=argument: %s", help)
	}
	return err
}

// refusedFlag is a flag that people will try, to be told why there is none.
type refusedFlag struct{}

func (refusedFlag) String() string   { return "" }
func (refusedFlag) Type() string     { return "string" }
func (refusedFlag) Set(string) error { return errValueOnCommandLine }

// refuseValueFlags has the flags with which other tools take a value refused
// with the reason.
func refuseValueFlags(flags *pflag.FlagSet) {
	for _, name := range []string{"value", "from-literal"} {
		flags.Var(refusedFlag{}, name, "")
		// The flag was made in the line above.
		_ = flags.MarkHidden(name)
	}
}
