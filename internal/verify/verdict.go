package verify

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/cel-go/cel"
	lru "github.com/hashicorp/golang-lru/v2"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"usersecrets.dev/operator/api/v1alpha1"
)

const (
	// maxCost bounds the evaluation of one expression, in CEL's units: enough for a
	// loop over some thousand members. What cel-go takes to keep the account
	// grows with its square in nested loops: this much takes 0.1 s, the API server's
	// bound of 1,000,000 takes 40 s.
	maxCost = 50_000
	// interruptEvery is after how many steps of a loop an evaluation looks
	// whether its time is over.
	interruptEvery = 100
	// maxPrograms is how many compiled expressions are kept.
	maxPrograms = 512
)

// Expressions that stand for absent ones; the CRD has the same.
const (
	defaultValid   = "code >= 200 && code < 300"
	defaultInvalid = "code == 401 || code == 403"
)

var errNotBool = errors.New("the expression must be true or false")

// expression is a compiled CEL expression.
type expression struct {
	program              cel.Program
	readsCode, readsBody bool
}

// compiler compiles expressions, and remembers the newest.
type compiler struct {
	env      *cel.Env
	programs *lru.Cache[string, expression]
}

var verdicts = newCompiler()

func newCompiler() *compiler {
	env, err := cel.NewEnv(cel.Variable("code", cel.IntType), cel.Variable("body", cel.DynType))
	if err != nil {
		panic(err) // the declarations are fixed
	}
	programs, err := lru.New[string, expression](maxPrograms)
	if err != nil {
		panic(err) // the size is fixed
	}
	return &compiler{env: env, programs: programs}
}

// compile checks an expression over code (int) and body (dyn) that gives a bool.
// Its errors name line and column and mark the place.
func (c *compiler) compile(text string) (expression, error) {
	if known, ok := c.programs.Get(text); ok {
		return known, nil
	}
	checked, issues := c.env.Compile(text)
	if err := issues.Err(); err != nil {
		return expression{}, err
	}
	// A member of the body is of type dyn until it is there.
	if kind := checked.OutputType(); !kind.IsExactType(cel.BoolType) && !kind.IsExactType(cel.DynType) {
		return expression{}, fmt.Errorf("%w, and is of type %s", errNotBool, kind)
	}
	program, err := c.env.Program(checked, cel.CostLimit(maxCost), cel.InterruptCheckFrequency(interruptEvery))
	if err != nil {
		return expression{}, err
	}
	made := expression{program: program}
	for _, reference := range checked.NativeRep().ReferenceMap() {
		made.readsCode = made.readsCode || reference.Name == "code"
		made.readsBody = made.readsBody || reference.Name == "body"
	}
	c.programs.Add(text, made)
	return made, nil
}

// verdict reads an answer.
type verdict struct {
	valid, invalid expression
	readsBody      bool
}

// of compiles the expressions of a test.
func (c *compiler) of(test *v1alpha1.HTTPTest) (verdict, error) {
	valid, err := c.compile(orDefault(test.Valid, defaultValid))
	if err != nil {
		return verdict{}, err
	}
	invalid, err := c.compile(orDefault(test.Invalid, defaultInvalid))
	if err != nil {
		return verdict{}, err
	}
	return verdict{valid: valid, invalid: invalid, readsBody: valid.readsBody || invalid.readsBody}, nil
}

func orDefault(text, absent string) string {
	if text == "" {
		return absent
	}
	return text
}

// on gives the verdict on an answer. Only one that says yes or no, and not both,
// is one.
func (v verdict) on(ctx context.Context, host string, a answer) Result {
	valid, invalid := v.valid.holds(ctx, a), v.invalid.holds(ctx, a)
	switch {
	case valid && invalid:
		return unreachable(fmt.Sprintf("%s answered %d, of which the catalogue's test says both that the value is accepted and that it is not: ask an administrator to correct the provider", host, a.code))
	case valid:
		return accepted(fmt.Sprintf("%s accepted the value (%d)", host, a.code))
	case invalid:
		return rejected(fmt.Sprintf("%s did not accept the value (%d)", host, a.code))
	default:
		return unreachable(fmt.Sprintf("%s %s", host, undecided(a)))
	}
}

// undecided says why an answer tells nothing about the value.
func undecided(a answer) string {
	switch {
	case a.code == http.StatusTooManyRequests:
		return "answered 429: it takes no more requests for now"
	case a.code >= 500:
		return fmt.Sprintf("answered %d: it has a failure of its own", a.code)
	case a.code >= 300 && a.code < 400:
		return fmt.Sprintf("answered %d: it answers with a redirect, which is not followed", a.code)
	case a.long:
		return fmt.Sprintf("answered %d, with more than can be read", a.code)
	default:
		return fmt.Sprintf("answered %d, which does not say whether the value is accepted", a.code)
	}
}

// holds says whether an expression is true. One that cannot be evaluated, as of a
// body that lacks a member, is not.
func (e expression) holds(ctx context.Context, a answer) bool {
	out, _, err := e.program.ContextEval(ctx, map[string]any{"code": a.code, "body": a.body})
	if err != nil {
		return false
	}
	holds, ok := out.Value().(bool)
	return ok && holds
}

// parseJSON decodes a body (RFC 8259): a number without fraction or exponent that
// fits an int64 is an int, any other a double. What is no JSON is nil.
func parseJSON(text []byte) any {
	var body any
	if err := utiljson.Unmarshal(text, &body); err != nil {
		return nil
	}
	return body
}
