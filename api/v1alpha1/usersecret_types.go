package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SecretType says what kind of credential a value is.
//
// +kubebuilder:validation:Enum=api_key;oauth_token;webhook_secret;connection_string;custom
type SecretType string

const (
	// TypeAPIKey is a static key of a provider's API.
	TypeAPIKey SecretType = "api_key"
	// TypeOAuthToken is an OAuth access or refresh token (RFC 6749, section 1.4 and 1.5).
	TypeOAuthToken SecretType = "oauth_token"
	// TypeWebhookSecret signs or verifies the bodies of webhook calls.
	TypeWebhookSecret SecretType = "webhook_secret"
	// TypeConnectionString is a URL or DSN with credentials in it.
	TypeConnectionString SecretType = "connection_string"
	// TypeCustom is anything else.
	TypeCustom SecretType = "custom"
)

// VerificationMode says when a value is tested against its provider.
//
// +kubebuilder:validation:Enum=OnChange;OnDemand;Disabled
type VerificationMode string

const (
	// VerifyOnChange tests whenever the value changes, and when asked.
	VerifyOnChange VerificationMode = "OnChange"
	// VerifyOnDemand tests only when asked.
	VerifyOnDemand VerificationMode = "OnDemand"
	// VerifyDisabled never tests.
	VerifyDisabled VerificationMode = "Disabled"
)

// Verification configures the connection test of a UserSecret.
type Verification struct {
	// mode says when the value is tested against its provider: OnChange (whenever
	// it changes, and when asked), OnDemand (when asked) or Disabled (never). A
	// test sends the value to the provider.
	//
	// +optional
	// +default="OnChange"
	Mode VerificationMode `json:"mode,omitempty"`
}

// UserSecretSpec is what the owner says about one value, and the value itself, sealed.
//
// The rule on value is the last line of defence: with the webhook in place a
// plaintext is sealed before it gets here; without it, nothing unsealed is stored.
// It says dyn, since CEL does not declare a field whose schema has no type.
//
// +kubebuilder:validation:XValidation:rule="!has(dyn(self).value)",reason=FieldValueForbidden,message="value is never stored: the admission webhook that seals it did not run. Seal it with 'kubectl usersecret seal', or ask the administrator whether the UserSecret operator is running"
// +kubebuilder:validation:XValidation:rule="has(self.encryptedValue) || has(dyn(self).value)",reason=FieldValueRequired,message="a UserSecret needs a value: make one with 'kubectl usersecret create', or give spec.value as the namespace's owner"
// +kubebuilder:validation:XValidation:rule="self.provider == oldSelf.provider",fieldPath=".provider",message="provider is immutable: delete this UserSecret and create another"
// +kubebuilder:validation:XValidation:rule="self.type == oldSelf.type",fieldPath=".type",message="type is immutable: delete this UserSecret and create another"
type UserSecretSpec struct {
	// provider is the name of the SecretProvider that the value is for, such
	// as "openai". Immutable.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Provider string `json:"provider"`

	// type is the kind of credential; the provider lists the ones that it
	// knows. Immutable.
	//
	// +required
	Type SecretType `json:"type"`

	// displayName is a short name for people, at most 100 characters.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=100
	DisplayName string `json:"displayName,omitempty"`

	// description says what the value is for, at most 1024 characters. It is
	// not secret.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Description string `json:"description,omitempty"`

	// tags are words to find the secret by, at most 32 of at most 63 characters.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	Tags []string `json:"tags,omitempty"`

	// active says whether workflow pods may get the value. Setting it to false
	// empties the projections of running pods.
	//
	// +optional
	// +default=true
	Active *bool `json:"active,omitempty"`

	// expiresAt is when the value stops being given out, RFC 3339. Running
	// pods lose it then too.
	//
	// +optional
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`

	// encryptedValue is the sealed value: us1.<key id>.<unpadded base64url>.
	// It opens only for this namespace's owner, this namespace and this name.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=90112
	EncryptedValue string `json:"encryptedValue,omitempty"`

	// value is the plaintext, 1 byte to 64 KiB, write-only: the admission
	// webhook seals it into encryptedValue and removes it. Accepted from the
	// owner of the namespace alone, and never stored.
	//
	// It has no pattern, enum, format or length, since an error about one
	// would repeat it.
	//
	// Anything but text is refused, by the webhook. The schema still says no
	// type: the API server merges before admission, and its log, and its answer
	// to a server-side apply, would repeat what YAML takes for a number, an
	// object (pasted JSON) or a list.
	//
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	Value *string `json:"value,omitempty"`

	// verification configures the connection test.
	//
	// +optional
	Verification *Verification `json:"verification,omitempty"`
}

// AccessType says what somebody did with a UserSecret.
//
// +kubebuilder:validation:Enum=create;read;update;delete;use
type AccessType string

const (
	// AccessCreate is a UserSecret made.
	AccessCreate AccessType = "create"
	// AccessRead is a value read back by a person.
	AccessRead AccessType = "read"
	// AccessUpdate is a UserSecret changed, its value or what is said about it.
	AccessUpdate AccessType = "update"
	// AccessDelete is a UserSecret deleted.
	AccessDelete AccessType = "delete"
	// AccessUse is a value issued to a workflow pod.
	AccessUse AccessType = "use"
)

// Access is one recorded use of a UserSecret.
type Access struct {
	// time is when the access was decided, with microseconds.
	//
	// +required
	Time metav1.MicroTime `json:"time"`

	// type says what was done.
	//
	// +required
	Type AccessType `json:"type"`

	// actor is the Kubernetes username that acted: for a use, the one that
	// created the pod.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Actor string `json:"actor,omitempty"`

	// workflow is the workflow run that the pod belongs to.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Workflow string `json:"workflow,omitempty"`

	// node is the step of that workflow.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node,omitempty"`

	// pod is the name of the pod.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod,omitempty"`

	// podUID is the UID of the pod. It tells one grant from another.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	PodUID string `json:"podUID,omitempty"`
}

// LastUse names the workflow, node and pod of the newest use.
type LastUse struct {
	// workflow is the workflow run that the pod belonged to.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Workflow string `json:"workflow,omitempty"`

	// node is the step of that workflow.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node,omitempty"`

	// pod is the name of the pod.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod,omitempty"`
}

// Usage sums up the uses of a UserSecret.
type Usage struct {
	// count is the number of pods that were granted the value.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Count int64 `json:"count"`

	// lastUsedAt is when a pod was last granted the value.
	//
	// +optional
	LastUsedAt *metav1.Time `json:"lastUsedAt,omitempty"`

	// lastUsedBy names the pod that was last granted the value.
	//
	// +optional
	LastUsedBy *LastUse `json:"lastUsedBy,omitempty"`
}

// VerificationStatus is what the connection test of condition Verified was about,
// and when the next one is due. With it, an operator that restarts tests nothing
// again.
type VerificationStatus struct {
	// valueID is status.valueID of the value that was tested last.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	ValueID string `json:"valueID,omitempty"`

	// requestedAt is the newest time in annotation
	// usersecrets.dev/verify-requested-at that was answered, to the microsecond.
	//
	// +optional
	RequestedAt *metav1.MicroTime `json:"requestedAt,omitempty"`

	// testedAt is when the newest test ended.
	//
	// +optional
	TestedAt *metav1.Time `json:"testedAt,omitempty"`

	// testID is a fingerprint of the provider's test that was run; empty where
	// there was none.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	TestID string `json:"testID,omitempty"`

	// attempts is how many tests in a row found the provider unreachable.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Attempts int32 `json:"attempts,omitempty"`

	// nextAttemptAt is when an unreachable provider is asked again; without it,
	// that is when asked to, or when the value changes.
	//
	// +optional
	NextAttemptAt *metav1.Time `json:"nextAttemptAt,omitempty"`
}

// MaxRecentAccesses is the length of status.recentAccesses.
const MaxRecentAccesses = 20

// Condition types of a UserSecret.
const (
	// ConditionReady is True when workflow pods can get the value now.
	ConditionReady = "Ready"
	// ConditionSealed is True when encryptedValue opens for this owner,
	// namespace, name and key.
	ConditionSealed = "Sealed"
	// ConditionVerified says what the provider's connection test said.
	ConditionVerified = "Verified"
	// ConditionExpired is True once expiresAt has passed.
	ConditionExpired = "Expired"
)

// Reasons of ConditionSealed.
const (
	// ReasonOpens: the sealed value opens.
	ReasonOpens = "Opens"
	// ReasonStaleKey: the sealed value opens, but a newer key took over from the
	// one that it is sealed with, and encryptedValue belongs to somebody else, so
	// that the operator offers resealedValue instead of writing it.
	ReasonStaleKey = "StaleKey"
	// ReasonMalformed: encryptedValue is not a sealed value in format us1.
	ReasonMalformed = "Malformed"
	// ReasonUnknownKey: the key that sealed the value is not in the vault.
	ReasonUnknownKey = "UnknownKey"
	// ReasonDoesNotOpen: the sealed value was made for another owner,
	// namespace or name, or was altered.
	ReasonDoesNotOpen = "DoesNotOpen"
	// ReasonNoOwner: the namespace names no owner.
	ReasonNoOwner = "NoOwner"
)

// Reasons of ConditionVerified.
const (
	// ReasonAccepted: the provider accepted the value.
	ReasonAccepted = "Accepted"
	// ReasonRejected: the provider answered that it does not accept the value.
	ReasonRejected = "Rejected"
	// ReasonUnreachable: the provider gave no answer that says either.
	ReasonUnreachable = "Unreachable"
	// ReasonNotTestable: there is no test for the value, or none may be made.
	ReasonNotTestable = "NotTestable"
)

// Reasons of ConditionExpired.
const (
	// ReasonExpired: expiresAt has passed.
	ReasonExpired = "Expired"
	// ReasonNotExpired: expiresAt lies ahead.
	ReasonNotExpired = "NotExpired"
	// ReasonExpiresWithinWeek: expiresAt is at most 7 days ahead.
	ReasonExpiresWithinWeek = "ExpiresWithinWeek"
	// ReasonExpiresWithinDay: expiresAt is at most 1 day ahead.
	ReasonExpiresWithinDay = "ExpiresWithinDay"
	// ReasonNoExpiry: expiresAt is not set.
	ReasonNoExpiry = "NoExpiry"
)

// Reasons of ConditionReady, besides those of a condition that keeps it from being True.
const (
	// ReasonReady: workflow pods can get the value.
	ReasonReady = "Ready"
	// ReasonInactive: spec.active is false.
	ReasonInactive = "Inactive"
	// ReasonUnknownProvider: spec.provider names no SecretProvider.
	ReasonUnknownProvider = "UnknownProvider"
	// ReasonUnknownType: the provider does not list spec.type.
	ReasonUnknownType = "UnknownType"
	// ReasonDuplicate: an older active UserSecret has the same provider and type.
	ReasonDuplicate = "Duplicate"
)

// UserSecretStatus is what the operator observed of a UserSecret.
type UserSecretStatus struct {
	// observedGeneration is the generation of the spec that this status describes.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions are Ready, Sealed, Verified and Expired.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// owner is the Kubernetes username that the value belongs to. For
	// display: authorisation always reads the Namespace.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Owner string `json:"owner,omitempty"`

	// keyID is the id of the encryption key that the value is sealed with.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	KeyID string `json:"keyID,omitempty"`

	// valueID is a keyed MAC of the newest value that opened, and its place. It
	// changes when the value changes; it stays when the same value is sealed
	// again, and while the value does not open.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	ValueID string `json:"valueID,omitempty"`

	// masked is the value for display: its last 4 characters where that is
	// safe, else dots.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Masked string `json:"masked,omitempty"`

	// usage sums up the uses.
	//
	// +optional
	Usage *Usage `json:"usage,omitempty"`

	// recentAccesses are the newest 20 accesses, newest first.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	RecentAccesses []Access `json:"recentAccesses,omitempty"`

	// valueUpdatedAt is when the operator first saw the value of valueID.
	//
	// +optional
	ValueUpdatedAt *metav1.Time `json:"valueUpdatedAt,omitempty"`

	// resealedValue is the same value sealed with the active key, offered
	// where encryptedValue belongs to somebody else, such as a GitOps tool.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=90112
	ResealedValue string `json:"resealedValue,omitempty"`

	// resealedKeyID is the id of the newest key that the present value was sealed
	// with. Where encryptedValue names an older one, an older manifest was applied.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	ResealedKeyID string `json:"resealedKeyID,omitempty"`

	// verification is what condition Verified is about. Without it, nothing was
	// tested.
	//
	// +optional
	Verification *VerificationStatus `json:"verification,omitempty"`
}

// UserSecret is one secret value of one user of a workflow platform, sealed.
// The namespace that it lives in belongs to that user.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=usec,categories=usersecret-operator
// +kubebuilder:printcolumn:name="Provider",type=string,JSONPath=`.spec.provider`
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Masked",type=string,JSONPath=`.status.masked`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Verified",type=string,JSONPath=`.status.conditions[?(@.type=="Verified")].status`
// +kubebuilder:printcolumn:name="Uses",type=integer,JSONPath=`.status.usage.count`
// +kubebuilder:printcolumn:name="Last-Used",type=date,JSONPath=`.status.usage.lastUsedAt`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.spec.expiresAt`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Key",type=string,priority=1,JSONPath=`.status.keyID`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
type UserSecret struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object's metadata.
	//
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the owner says about the value, and the sealed value.
	//
	// +required
	Spec UserSecretSpec `json:"spec"`

	// status is what the operator observed.
	//
	// +optional
	Status UserSecretStatus `json:"status,omitempty"`
}

// UserSecretList is a list of UserSecrets.
//
// +kubebuilder:object:root=true
type UserSecretList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []UserSecret `json:"items"`
}
