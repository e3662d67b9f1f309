package manifests_test

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// scaledObject is as much of KEDA's type as we use.
type scaledObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		ScaleTargetRef                                                    struct{ Name string }
		MinReplicaCount, MaxReplicaCount, PollingInterval, CooldownPeriod int
		Triggers                                                          []struct {
			Type     string
			Metadata map[string]string
		}
	}
}

// cluster is what the example makes, each object read strictly as the type that it says it is.
type cluster struct {
	namespaces  map[string]corev1.Namespace
	pods        map[string]corev1.PodTemplateSpec
	accounts    map[string]corev1.ServiceAccount
	budgets     []policyv1.PodDisruptionBudget
	policies    []networkingv1.NetworkPolicy
	configs     map[string]corev1.ConfigMap
	scaled      []scaledObject
	deployments map[string]appsv1.Deployment
}

func build(t *testing.T) *cluster {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), deploy+"kubernetes/example")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{
		namespaces: map[string]corev1.Namespace{}, pods: map[string]corev1.PodTemplateSpec{}, accounts: map[string]corev1.ServiceAccount{},
		configs: map[string]corev1.ConfigMap{}, deployments: map[string]appsv1.Deployment{},
	}
	for _, r := range resources.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		switch kind := r.GetKind(); kind {
		case "Namespace":
			o := strict[corev1.Namespace](t, text)
			c.namespaces[o.Name] = o
		case "ServiceAccount":
			o := strict[corev1.ServiceAccount](t, text)
			c.accounts[o.Namespace+"/"+o.Name] = o
		case "Deployment":
			o := strict[appsv1.Deployment](t, text)
			c.deployments[o.Name], c.pods[o.Namespace+"/"+o.Name] = o, o.Spec.Template
		case "StatefulSet":
			o := strict[appsv1.StatefulSet](t, text)
			c.pods[o.Namespace+"/"+o.Name] = o.Spec.Template
		case "Job":
			o := strict[batchv1.Job](t, text)
			c.pods[o.Namespace+"/"+o.Name] = o.Spec.Template
		case "PodDisruptionBudget":
			c.budgets = append(c.budgets, strict[policyv1.PodDisruptionBudget](t, text))
		case "NetworkPolicy":
			c.policies = append(c.policies, strict[networkingv1.NetworkPolicy](t, text))
		case "ConfigMap":
			o := strict[corev1.ConfigMap](t, text)
			c.configs[o.Namespace+"/"+o.Name] = o
		case "Service":
			strict[corev1.Service](t, text)
		case "Ingress":
			strict[networkingv1.Ingress](t, text)
		case "ScaledObject":
			c.scaled = append(c.scaled, strict[scaledObject](t, text))
		default:
			t.Errorf("nobody looks at a %s", kind)
		}
	}
	return c
}

func strict[T any](t *testing.T, text []byte) (o T) {
	t.Helper()
	if err := yaml.UnmarshalStrict(text, &o); err != nil {
		t.Errorf("%v in\n%s", err, text)
	}
	return o
}

func TestEveryPodIsAsRestrictedAsItsNamespaceWants(t *testing.T) {
	c := build(t)
	if len(c.pods) != 6 {
		t.Errorf("%d kinds of pods", len(c.pods))
	}
	for name, pod := range c.pods {
		runner := name == "sre-agent-runner/runner"
		if s := pod.Spec.SecurityContext; !*s.RunAsNonRoot || *s.RunAsUser == 0 || (s.SeccompProfile != nil) == runner {
			t.Errorf("%s: %+v", name, s)
		}
		if *pod.Spec.AutomountServiceAccountToken || *c.accounts[namespaceOf(name)+"/"+pod.Spec.ServiceAccountName].AutomountServiceAccountToken {
			t.Errorf("%s has a token of Kubernetes", name)
		}
		for _, ct := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
			s := ct.SecurityContext
			if *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 || s.Privileged != nil {
				t.Errorf("%s, %s: %+v", name, ct.Name, s)
			}
			if loose := s.SeccompProfile != nil || s.ProcMount != nil || s.AppArmorProfile != nil; loose != runner {
				t.Errorf("%s, %s: loose: %v", name, ct.Name, loose)
			}
		}
		want := "restricted"
		if runner {
			want = "privileged"
			if pod.Spec.HostUsers == nil || *pod.Spec.HostUsers {
				t.Errorf("%s has the node's users", name)
			}
		}
		if got := c.namespaces[namespaceOf(name)].Labels["pod-security.kubernetes.io/enforce"]; got != want {
			t.Errorf("the namespace of %s enforces %q", name, got)
		}
	}
}

func namespaceOf(name string) string {
	for i := range name {
		if name[i] == '/' {
			return name[:i]
		}
	}
	return ""
}

func TestEveryServiceHasProbesABudgetAndAnAccountOfItsOwn(t *testing.T) {
	c := build(t)
	seen := map[string]bool{}
	for name, pod := range c.pods {
		if seen[pod.Spec.ServiceAccountName] {
			t.Errorf("%s shares the account %s", name, pod.Spec.ServiceAccountName)
		}
		seen[pod.Spec.ServiceAccountName] = true
		if name == "sre-agent/migrate" {
			continue
		}
		ct := pod.Spec.Containers[0]
		if ct.StartupProbe == nil || ct.LivenessProbe == nil || ct.ReadinessProbe == nil || ct.Resources.Limits.Memory().IsZero() {
			t.Errorf("%s: probes or bounds are missing", name)
		}
		var budgets int
		for _, b := range c.budgets {
			s, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
			if err != nil {
				t.Fatal(err)
			}
			if b.Namespace == namespaceOf(name) && s.Matches(labels.Set(pod.Labels)) {
				budgets++
			}
		}
		if budgets != 1 {
			t.Errorf("%s has %d budgets", name, budgets)
		}
	}
}

func TestWhatAPodIsGivenIsThere(t *testing.T) {
	c := build(t)
	for name, pod := range c.pods {
		for _, v := range pod.Spec.Volumes {
			if v.ConfigMap == nil {
				continue
			}
			if _, ok := c.configs[namespaceOf(name)+"/"+v.ConfigMap.Name]; !ok {
				t.Errorf("%s mounts %s, which is not there", name, v.ConfigMap.Name)
			}
		}
		for _, e := range pod.Spec.Containers[0].EnvFrom {
			if e.ConfigMapRef != nil {
				if _, ok := c.configs[namespaceOf(name)+"/"+e.ConfigMapRef.Name]; !ok {
					t.Errorf("%s reads %s, which is not there", name, e.ConfigMapRef.Name)
				}
			}
		}
	}
}

func TestNothingIsReachedUnlessItIsNamed(t *testing.T) {
	c := build(t)
	denied := map[string]bool{}
	for _, p := range c.policies {
		if len(p.Spec.PodSelector.MatchLabels) == 0 && len(p.Spec.PolicyTypes) == 2 {
			denied[p.Namespace] = true
		}
		for _, rule := range p.Spec.Egress {
			if len(rule.To) == 0 || len(rule.Ports) == 0 {
				t.Errorf("%s/%s lets everything out", p.Namespace, p.Name)
			}
			for _, to := range rule.To {
				if to.IPBlock != nil && to.IPBlock.CIDR == "0.0.0.0/0" && !slices.Contains(to.IPBlock.Except, "169.254.0.0/16") {
					t.Errorf("%s/%s reaches the metadata service", p.Namespace, p.Name)
				}
			}
		}
		if p.Name == "ingest" && len(p.Spec.Egress) != 1 {
			t.Error("ingest needs nothing but NATS")
		}
	}
	for ns := range c.namespaces {
		if !denied[ns] {
			t.Errorf("%s has no policy for everything in it", ns)
		}
	}
}

func TestRunnersAreScaledByWhatWaitsForThem(t *testing.T) {
	c := build(t)
	if len(c.scaled) != 1 || c.scaled[0].Spec.ScaleTargetRef.Name != "runner" || c.deployments["runner"].Spec.Replicas != nil {
		t.Fatalf("%+v", c.scaled)
	}
	m := c.scaled[0].Spec.Triggers[0].Metadata
	if m["stream"] != "RUNS" || m["consumer"] != "runner" || m["account"] != "SRE_AGENT" {
		t.Errorf("%v", m)
	}
}
