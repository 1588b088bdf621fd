package catalogue_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/catalogue"
	"usersecrets.dev/operator/internal/secretvalue"
	"usersecrets.dev/operator/internal/verify"
	files "usersecrets.dev/operator/test/catalogue"
)

var folder = filepath.Join("..", "..", "config", "providers")

func load(t *testing.T) []files.File {
	t.Helper()
	all, err := files.Load(folder)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFiles(t *testing.T) {
	for _, file := range load(t) {
		t.Run(file.Name, func(t *testing.T) {
			p := file.Provider
			if p.APIVersion != v1alpha1.GroupVersion.String() || p.Kind != "SecretProvider" {
				t.Errorf("is a %s of %s", p.Kind, p.APIVersion)
			}
			if p.Name+".yaml" != file.Name {
				t.Errorf("holds the provider %q", p.Name)
			}
			if p.Spec.Icon == "" {
				t.Error("has no icon")
			}
			// Nobody gives out the values of these.
			ownValues := p.Spec.Category == "Webhook" || p.Spec.Category == "Custom"
			if !ownValues && p.Spec.DocsURL == "" {
				t.Error("does not say where to get a credential")
			}
			if text, err := os.ReadFile(filepath.Join(folder, file.Name)); err != nil || !strings.HasPrefix(string(text), "# ") {
				t.Errorf("does not start by saying where its facts come from (%v)", err)
			}
			for _, err := range verify.ValidateProvider(&p) {
				t.Error(err)
			}
			for i := range p.Spec.Types {
				t.Run(string(p.Spec.Types[i].Type), func(t *testing.T) { checkEntry(t, &p.Spec.Types[i], p.Name != "custom") })
			}
		})
	}
}

// noCredential is what an example has in it, so that neither a person nor a secret
// scanner takes it for a credential.
var noCredential = regexp.MustCompile(`EXAMPLE|user:password@|^0123456789abcdef`)

func checkEntry(t *testing.T, entry *v1alpha1.ProviderType, patterned bool) {
	t.Helper()
	if patterned && (entry.Pattern == "" || entry.Example == "") {
		t.Error("has no pattern, or no example of it")
	}
	if entry.Example != "" && !noCredential.MatchString(entry.Example) {
		t.Errorf("the example %q might be taken for a credential", entry.Example)
	}
	if err := catalogue.CheckPattern(entry, secretvalue.FromString(entry.Example)); err != nil && patterned {
		t.Errorf("the example: %v", err)
	}
	for what, value := range map[string]string{"a line break after it": entry.Example + "\n", "a space before it": " " + entry.Example, "nothing": ""} {
		if err := catalogue.CheckPattern(entry, secretvalue.FromString(value)); err == nil && patterned {
			t.Errorf("the pattern takes an example with %s", what)
		}
	}
	// The API server would put these in. Whoever reads the file ought to see them.
	if entry.Test != nil && entry.Test.HTTP != nil {
		if h := entry.Test.HTTP; h.Method == "" || h.Valid == "" || h.Invalid == "" {
			t.Error("the test does not say method, valid and invalid")
		}
	}
}

// A pod that asks for several providers gets each under a key of its own.
func TestKeysAreDistinct(t *testing.T) {
	owners := map[string]string{}
	for _, file := range load(t) {
		for _, entry := range file.Provider.Spec.Types {
			if other, taken := owners[entry.Key]; taken {
				t.Errorf("%s and %s both have the key %s", other, file.Name, entry.Key)
			}
			owners[entry.Key] = file.Name
		}
	}
}

func TestKustomizationListsAll(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(folder, "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var listed struct {
		Resources []string `json:"resources"`
	}
	if err := yaml.Unmarshal(text, &listed); err != nil {
		t.Fatal(err)
	}
	var there []string
	for _, file := range load(t) {
		there = append(there, file.Name)
	}
	if diff := cmp.Diff(there, listed.Resources); diff != "" {
		t.Errorf("resources of kustomization.yaml (-there +listed):\n%s", diff)
	}
}

// What people ask for, and under which name and type they find it.
func TestProvidersAreThere(t *testing.T) {
	wanted := map[v1alpha1.ProviderCategory]string{
		"LLM": "openai anthropic gemini cohere voyageai mistral groq together openrouter deepseek xai perplexity huggingface " +
			"replicate azure-openai elevenlabs stability",
		"Integration": "slack google-drive reddit github gitlab notion discord telegram sendgrid twilio stripe jira linear hubspot " +
			"airtable asana",
		"Database": "postgresql mysql mongodb redis pinecone weaviate qdrant",
		"Webhook":  "webhook",
		"Custom":   "custom",
	}
	all := load(t)
	for category, names := range wanted {
		for name := range strings.FieldsSeq(names) {
			i := slices.IndexFunc(all, func(f files.File) bool { return f.Provider.Name == name })
			if i < 0 {
				t.Errorf("no provider %s", name)
			} else if got := all[i].Provider.Spec.Category; got != category {
				t.Errorf("%s is of category %s, want %s", name, got, category)
			}
		}
	}
	for _, name := range []string{"github", "stripe", "webhook"} {
		i := slices.IndexFunc(all, func(f files.File) bool { return f.Provider.Name == name })
		if entry, err := catalogue.Type(&all[i].Provider, v1alpha1.TypeWebhookSecret); err != nil || !entry.AllowMultiple {
			t.Errorf("%s has no webhook secrets, several at once: %v", name, err)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	const head = "apiVersion: usersecrets.dev/v1alpha1\nkind: SecretProvider\n"
	tests := map[string]struct {
		name, text, want string
	}{
		"an unknown field":        {name: "a.yaml", text: head + "spec: {displayName: A, colour: red}\n", want: `reading a.yaml: error unmarshaling JSON: while decoding JSON: json: unknown field "colour"`},
		"a field twice":           {name: "a.yaml", text: head + "spec:\n  icon: a\n  icon: b\n", want: "reading a.yaml: error converting YAML to JSON: yaml: unmarshal errors:\n  line 5: key \"icon\" already set in map"},
		"a folder with no file":   {name: "a.txt", want: " holds no SecretProvider"},
		"a folder with the index": {name: "kustomization.yaml", want: " holds no SecretProvider"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, tt.name), []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := files.Load(folder)
			if err == nil || strings.TrimPrefix(err.Error(), folder) != tt.want {
				t.Errorf("Load = %v, error %v,\nwant %s", got, err, tt.want)
			}
		})
	}
}
