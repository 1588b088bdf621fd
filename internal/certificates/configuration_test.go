package certificates

import (
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestCarries(t *testing.T) {
	ours, other := makeAuthority(t, start), makeAuthority(t, start)
	mine, foreign := encodeCertificate(ours.certificate), encodeCertificate(other.certificate)
	mutating := func(bundles ...[]byte) client.Object {
		c := &admissionv1.MutatingWebhookConfiguration{}
		for i, b := range bundles {
			c.Webhooks = append(c.Webhooks, admissionv1.MutatingWebhook{
				Name: string(rune('a'+i)) + ".example.com", ClientConfig: admissionv1.WebhookClientConfig{CABundle: b},
			})
		}
		return c
	}
	validating := func(b []byte) client.Object {
		return &admissionv1.ValidatingWebhookConfiguration{Webhooks: []admissionv1.ValidatingWebhook{
			{Name: "v.example.com", ClientConfig: admissionv1.WebhookClientConfig{CABundle: b}},
		}}
	}
	for name, c := range map[string]struct {
		object client.Object
		absent bool
		want   string // empty: it carries the CA
	}{
		"ours":                     {object: mutating(mine)},
		"ours, validating":         {object: validating(mine)},
		"ours among others":        {object: mutating(append(foreign, mine...))},
		"ours beside what is none": {object: mutating(append([]byte("text\n"), mine...))},
		"absent":                   {object: mutating(), absent: true, want: "there is no Kind name: apply"},
		"without webhooks":         {object: mutating(), want: "has no webhooks"},
		"emptied":                  {object: mutating(nil), want: "caBundle of a.example.com lacks the CA"},
		"another's":                {object: mutating(foreign), want: "caBundle of a.example.com lacks the CA"},
		"another's, validating":    {object: validating(foreign), want: "caBundle of v.example.com lacks the CA"},
		"one of two":               {object: mutating(mine, foreign), want: "caBundle of b.example.com lacks the CA"},
	} {
		t.Run(name, func(t *testing.T) {
			err := (&configuration{kind: "Kind", object: c.object, exists: !c.absent}).carries(ours.certificate, "name")
			switch {
			case c.want == "" && err != nil:
				t.Errorf("carries: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("carries: %v, want %q in it", err, c.want)
			}
		})
	}
}
