package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/secretvalue"
)

var (
	errNoValue      = errors.New("no value: there is no terminal to ask at; give --from-file FILE (- is standard input) or --from-env VARIABLE")
	errTwoValues    = errors.New("--from-file and --from-env are two values: give one of them")
	errEnvNotSet    = errors.New("the environment variable that --from-env names is not set: export it, or give --from-file")
	errNewlineAlone = errors.New("--keep-newline goes with --from-file: nothing else ends in a newline that could be kept")
)

// stdin is the file name that stands for standard input.
const stdin = "-"

// valueSource says where the value comes from. Errors name neither file nor
// variable: what stands there may be the value, in the wrong place.
type valueSource struct {
	file        string
	variable    string
	keepNewline bool
}

func (s *valueSource) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&s.file, "from-file", "", "Read the value from a file; - is standard input. One newline at the end of a text is left out.")
	flags.StringVar(&s.variable, "from-env", "", "Read the value from the environment variable of this name, just as it is.")
	flags.BoolVar(&s.keepNewline, "keep-newline", false, "Keep the newline at the end of the file, as an SSH or PEM key may need it.")
	refuseValueFlags(flags)
}

func (s *valueSource) validate(p Prompter) error {
	switch {
	case s.file != "" && s.variable != "":
		return errTwoValues
	case s.keepNewline && s.file == "":
		return errNewlineAlone
	case s.asks() && !p.Interactive():
		return errNoValue
	}
	return nil
}

// asks says whether the user is to be asked.
func (s *valueSource) asks() bool { return s.file == "" && s.variable == "" }

// read returns the value, of 1 byte to 64 KiB. The caller zeroes it.
func (s *valueSource) read(ctx context.Context, env *Environment, question string) (secretvalue.Value, error) {
	value, err := s.take(ctx, env, question)
	if err != nil {
		return secretvalue.Value{}, err
	}
	switch n := value.Len(); {
	case n == 0:
		return secretvalue.Value{}, envelope.ErrValueEmpty
	case n > envelope.MaxValueLength:
		value.Zero()
		return secretvalue.Value{}, envelope.ErrValueTooLong
	}
	return value, nil
}

func (s *valueSource) take(ctx context.Context, env *Environment, question string) (secretvalue.Value, error) {
	switch {
	case s.variable != "":
		value, set := env.LookupEnv(s.variable)
		if !set {
			return secretvalue.Value{}, errEnvNotSet
		}
		return secretvalue.FromString(value), nil
	case s.asks(), s.file == stdin && env.Prompter.Interactive():
		// What is typed into standard input would be seen.
		return env.Prompter.AskSecret(ctx, question)
	case s.file == stdin:
		return s.readAll(env.In)
	}
	file, err := os.Open(s.file)
	if err != nil {
		return secretvalue.Value{}, unnamed("--from-file", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	return s.readAll(file)
}

// readAll reads up to what is surely too long.
func (s *valueSource) readAll(r io.Reader) (secretvalue.Value, error) {
	content, err := io.ReadAll(io.LimitReader(r, envelope.MaxValueLength+int64(len("\r\n"))+1))
	defer func() { clear(content) }()
	if err != nil {
		return secretvalue.Value{}, unnamed("--from-file", err)
	}
	if s.keepNewline {
		return secretvalue.New(content), nil
	}
	return secretvalue.New(withoutNewline(content)), nil
}

// withoutNewline returns a text that ends in one newline without it, and
// whatever else as it is.
func withoutNewline(content []byte) []byte {
	if !utf8.Valid(content) || bytes.IndexByte(content, 0) >= 0 {
		return content
	}
	line, ended := cutNewline(content)
	if _, again := cutNewline(line); !ended || again {
		return content
	}
	return line
}

// cutNewline takes one \n or \r\n off the end.
func cutNewline(text []byte) ([]byte, bool) {
	line, ended := bytes.CutSuffix(text, []byte("\n"))
	if !ended {
		return text, false
	}
	return bytes.TrimSuffix(line, []byte("\r")), true
}

// unnamed takes the name of the file that a flag names out of an error.
func unnamed(flag string, err error) error {
	var named *fs.PathError
	if errors.As(err, &named) {
		err = named.Err
	}
	return fmt.Errorf("reading the file that %s names: %w; give a file that you may read", flag, err)
}
