package cli

import (
	"context"
	"errors"
	"strings"
	"testing"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/secretvalue"
)

func TestWithoutNewline(t *testing.T) {
	tests := map[string]struct{ content, want string }{
		"no newline":           {"value", "value"},
		"one newline":          {"value\n", "value"},
		"one line break":       {"value\r\n", "value"},
		"several lines":        {"-----BEGIN-----\nAA==\n-----END-----\n", "-----BEGIN-----\nAA==\n-----END-----"},
		"two newlines":         {"value\n\n", "value\n\n"},
		"two line breaks":      {"value\r\n\r\n", "value\r\n\r\n"},
		"carriage return":      {"value\r", "value\r"},
		"newline alone":        {"\n", ""},
		"no UTF-8":             {"\xff\xfe\n", "\xff\xfe\n"},
		"NUL":                  {"a\x00b\n", "a\x00b\n"},
		"newline at the start": {"\nvalue", "\nvalue"},
		"nothing":              {"", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := string(withoutNewline([]byte(tt.content))); got != tt.want {
				t.Errorf("withoutNewline(%q): got %q, want %q", tt.content, got, tt.want)
			}
		})
	}
}

func TestValueSources(t *testing.T) {
	longest := strings.Repeat("x", envelope.MaxValueLength)
	tests := map[string]struct {
		source  valueSource
		file    string
		stdin   string
		env     string
		user    scriptedUser
		want    string
		wantErr error
	}{
		"file":                        {source: valueSource{file: "given"}, file: canary + "\n", want: canary},
		"file, newline kept":          {source: valueSource{file: "given", keepNewline: true}, file: canary + "\n", want: canary + "\n"},
		"file of bytes":               {source: valueSource{file: "given"}, file: "\x00\xff\n", want: "\x00\xff\n"},
		"longest file":                {source: valueSource{file: "given"}, file: longest + "\r\n", want: longest},
		"empty file":                  {source: valueSource{file: "given"}, wantErr: envelope.ErrValueEmpty},
		"file of a newline":           {source: valueSource{file: "given"}, file: "\n", wantErr: envelope.ErrValueEmpty},
		"file one byte too long":      {source: valueSource{file: "given"}, file: longest + "x", wantErr: envelope.ErrValueTooLong},
		"file too long with newline":  {source: valueSource{file: "given"}, file: longest + "x\n", wantErr: envelope.ErrValueTooLong},
		"file much too long":          {source: valueSource{file: "given"}, file: longest + longest, wantErr: envelope.ErrValueTooLong},
		"standard input":              {source: valueSource{file: "-"}, stdin: canary + "\n", want: canary},
		"standard input, empty":       {source: valueSource{file: "-"}, wantErr: envelope.ErrValueEmpty},
		"standard input, a terminal":  {source: valueSource{file: "-"}, stdin: "seen", user: scriptedUser{present: true, secret: canary}, want: canary},
		"variable":                    {source: valueSource{variable: "VALUE"}, env: canary + "\n", want: canary + "\n"},
		"variable, empty":             {source: valueSource{variable: "VALUE"}, wantErr: envelope.ErrValueEmpty},
		"variable, not set":           {source: valueSource{variable: "OTHER"}, wantErr: errEnvNotSet},
		"terminal":                    {user: scriptedUser{present: true, secret: canary}, want: canary},
		"terminal, nothing typed":     {user: scriptedUser{present: true}, wantErr: envelope.ErrValueEmpty},
		"terminal, interrupted":       {user: scriptedUser{present: true, err: errInterrupted}, wantErr: errInterrupted},
		"terminal, too much is typed": {user: scriptedUser{present: true, secret: longest + "x"}, wantErr: envelope.ErrValueTooLong},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.stdin.WriteString(tt.stdin)
			f.variables["VALUE"] = tt.env
			f.env.Prompter = &tt.user
			if tt.source.file == "given" {
				tt.source.file = f.file("value", tt.file)
			}
			got, err := tt.source.read(context.Background(), f.env, "?")
			if !errors.Is(err, tt.wantErr) || !got.Equal(secretvalue.FromString(tt.want)) {
				t.Errorf("reading: got %d bytes, error %v; want %d bytes, error %v", got.Len(), err, len(tt.want), tt.wantErr)
			}
		})
	}
}

// Where no value can be had, the command says so before it does anything else.
func TestValueRefusals(t *testing.T) {
	onCommandLine := "a value is never taken from the command line, where the shell's history and the list of processes would show it: leave it out and you are asked for it, or give --from-file or --from-env"
	badProvider := "--provider is no valid name: it is that of a SecretProvider, such as openai, of at most 63 lower case letters, digits and '-'"
	tests := map[string]struct {
		args []string
		want string
	}{
		"as an argument":       {[]string{"openai", canary}, onCommandLine},
		"as --value":           {[]string{"openai", "--value", canary}, onCommandLine},
		"as --value=":          {[]string{"openai", "--value=" + canary}, onCommandLine},
		"as --from-literal":    {[]string{"openai", "--from-literal=" + canary}, onCommandLine},
		"as the name":          {[]string{canary + "_"}, "NAME is no valid name: use lower case letters, digits, '-' and '.', start and end with a letter or digit, and at most 253 characters"},
		"as an unknown flag":   {[]string{"openai", "-v" + canary}, "unknown flag: see 'kubectl usersecret COMMAND --help'"},
		"as a switch":          {[]string{"openai", "--inactive=" + canary}, "the argument of --inactive is no bool: see 'kubectl usersecret COMMAND --help'"},
		"as a flag of its own": {[]string{"openai", "--=" + canary}, "a flag is written --name=argument: see 'kubectl usersecret COMMAND --help'"},
		"as a variable":        {[]string{"openai", "--provider=openai", "--from-env", canary}, "the environment variable that --from-env names is not set: export it, or give --from-file"},
		"as a file":            {[]string{"openai", "--provider=openai", "--from-file", canary}, "reading the file that --from-file names: no such file or directory; give a file that you may read"},
		"as the provider":      {[]string{"openai", "--from-file=-", "--provider", canary}, "unknown provider: 'kubectl get secretproviders' lists the catalogue, and 'custom' takes anything"},
		"as no name of one":    {[]string{"openai", "--from-file=-", "--provider", canary + "_"}, badProvider},
		"as a long provider":   {[]string{"openai", "--from-file=-", "--provider", canary + strings.Repeat("x", 63)}, badProvider},
		"as a sealing key":     {[]string{"openai", "--from-file=-", "--provider=openai", "--type=api_key", "--sealing-key", canary}, "reading the file that --sealing-key names: no such file or directory; give a file that you may read"},
		"a folder":             {[]string{"openai", "--provider=openai", "--from-file", "/"}, "reading the file that --from-file names: is a directory; give a file that you may read"},
		"no argument of flag":  {[]string{"openai", "--from-env"}, "flag --from-env needs an argument: see 'kubectl usersecret COMMAND --help'"},
		"no name":              {nil, "NAME is missing: give the name that the UserSecret is to have, such as openai"},
		"nobody to ask":        {[]string{"openai"}, "no value: there is no terminal to ask at; give --from-file FILE (- is standard input) or --from-env VARIABLE"},
		"two sources":          {[]string{"openai", "--from-env=A", "--from-file=B"}, "--from-file and --from-env are two values: give one of them"},
		"newline of nothing":   {[]string{"openai", "--from-env=A", "--keep-newline"}, "--keep-newline goes with --from-file: nothing else ends in a newline that could be kept"},
		"empty":                {[]string{"openai", "--provider=openai", "--from-file=-"}, "the value is empty; give a value of at least 1 byte"},
	}
	for name, tt := range tests {
		for _, command := range []string{"seal", "create"} {
			t.Run(command+" "+name, func(t *testing.T) {
				f := newFixture(t, sealingKeyOf(t, "v1", nil), provider("openai", v1alpha1.TypeAPIKey))
				f.trust(clusterURL, sealingKeyOf(t, "v1", nil))
				args := append([]string{command}, tt.args...)
				if command == "seal" {
					args = append(args, "-o", "yaml")
				}
				if name == "no argument of flag" {
					args = append([]string{command, "-o", "yaml"}, tt.args...)
				}
				wantRefusal(t, f.run(args...), strings.ReplaceAll(tt.want, "COMMAND", command))
			})
		}
	}
}
