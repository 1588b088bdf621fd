package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/envelope"
	"usersecrets.dev/operator/internal/secretvalue"
)

// sealer is the mutating half of UserSecret admission: it seals plaintext,
// clears its traces, and stamps who created the object.
//
// It works on the decoded JSON and not on the Go type, so that the patch touches
// nothing but what it means to, and fields of a newer API version survive.
type sealer struct {
	*vault
}

var (
	errValueNotText = errors.New(`spec.value must be text: put it in quotes, as in value: "123"; what is no text is sealed from a file, with 'kubectl usersecret seal --from-file'`)
	errBothValues   = errors.New("give one of spec.value and spec.encryptedValue, not both")
	errGenerateName = errors.New("a UserSecret with spec.value needs metadata.name: a name from generateName does not exist yet when the value is sealed for it")
	errPlaintext    = errors.New("plaintext in spec.value is accepted from the namespace's owner alone; seal it with 'kubectl usersecret seal' and give spec.encryptedValue")
)

// Handle implements admission.Handler.
func (s *sealer) Handle(ctx context.Context, req admission.Request) admission.Response {
	var object, old map[string]any
	if err := utiljson.Unmarshal(req.Object.Raw, &object); err != nil {
		return admission.Errored(http.StatusBadRequest, errors.New("the object is no JSON object"))
	}
	if req.Operation == admissionv1.Update {
		if err := utiljson.Unmarshal(req.OldObject.Raw, &old); err != nil {
			return admission.Errored(http.StatusBadRequest, errors.New("the old object is no JSON object"))
		}
	}
	if resp := s.sealValue(ctx, req, object, old); resp != nil {
		return *resp
	}
	metadata := child(object, "metadata")
	dropLastApplied(child(metadata, "annotations"))
	dropManagedValue(metadata)
	stampCreator(req, metadata, old)
	keepManagers(object, old)
	mutated, err := json.Marshal(object)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, fmt.Errorf("encoding the sealed object: %w", err))
	}
	return admission.PatchResponseFromRaw(req.Object.Raw, mutated)
}

// sealValue replaces spec.value by spec.encryptedValue. A nil response means
// that admission goes on.
func (s *sealer) sealValue(ctx context.Context, req admission.Request, object, old map[string]any) *admission.Response {
	spec := child(object, "spec")
	raw, given := spec["value"]
	if !given || raw == nil {
		delete(spec, "value")
		return nil
	}
	text, ok := raw.(string)
	if !ok {
		return s.refuse(req, "", errValueNotText)
	}
	owner, err := s.owners.Of(ctx, req.Namespace)
	if err != nil {
		return s.refuse(req, "", err)
	}
	if req.UserInfo.Username != owner {
		return s.refuse(req, owner, errPlaintext)
	}
	sealed, err := s.seal(ctx, req, secretvalue.FromString(text), plaintextRequest{owner: owner, object: object, old: old})
	if err != nil {
		return s.refuse(req, owner, err)
	}
	spec["encryptedValue"] = sealed
	delete(spec, "value")
	return nil
}

type plaintextRequest struct {
	owner       string
	object, old map[string]any
}

// seal takes the value: whatever comes of it, it is overwritten in the end.
func (s *sealer) seal(ctx context.Context, req admission.Request, value secretvalue.Value, p plaintextRequest) (string, error) {
	defer value.Zero()
	if nameOf(req, p.object) == "" {
		return "", errGenerateName
	}
	before, _ := child(p.old, "spec")["encryptedValue"].(string)
	given, _ := child(p.object, "spec")["encryptedValue"].(string)
	if given != "" && given != before {
		return "", errBothValues
	}
	// kubectl's annotation repeats spec.value by design and is rebuilt without
	// it first; what still repeats it then would stay.
	dropLastApplied(child(child(p.object, "metadata"), "annotations"))
	if path := repetition(p.object, value); path != "" {
		return "", errRepeated(path)
	}
	place := envelope.Binding{Owner: p.owner, Namespace: req.Namespace, Name: nameOf(req, p.object)}
	if before != "" && s.opensTo(ctx, before, place, value) {
		return before, nil
	}
	return s.keys.Seal(place, value)
}

func (s *sealer) opensTo(ctx context.Context, sealed string, place envelope.Binding, value secretvalue.Value) bool {
	current, err := s.keys.OpenText(ctx, sealed, place)
	if err != nil {
		return false
	}
	defer current.Zero()
	return current.Equal(value)
}

func errRepeated(path string) error {
	return fmt.Errorf("%s repeats the value in the clear, where everybody who may look at the object would read it: remove it there", path)
}

// stampCreator records who made the object, and keeps the record where a
// replacing update left it out.
func stampCreator(req admission.Request, metadata, old map[string]any) {
	creator := req.UserInfo.Username
	if req.Operation == admissionv1.Update {
		kept, ok := child(child(old, "metadata"), "annotations")[v1alpha1.CreatedByAnnotation].(string)
		if _, given := child(metadata, "annotations")[v1alpha1.CreatedByAnnotation]; given || !ok {
			return
		}
		creator = kept
	}
	annotations, ok := metadata["annotations"].(map[string]any)
	if !ok {
		annotations = map[string]any{}
		metadata["annotations"] = annotations
	}
	annotations[v1alpha1.CreatedByAnnotation] = creator
}

// child returns an object's member as an object, empty where there is none.
func child(object map[string]any, key string) map[string]any {
	if node, ok := object[key].(map[string]any); ok {
		return node
	}
	return map[string]any{}
}

func nameOf(req admission.Request, object map[string]any) string {
	if req.Name != "" {
		return req.Name
	}
	name, _ := child(object, "metadata")["name"].(string)
	return name
}
