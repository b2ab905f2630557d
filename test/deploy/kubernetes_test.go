package deploy

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const kubernetesDir = "deploy/kubernetes"

// cluster is what an overlay would make.
type cluster struct {
	t        *testing.T
	names    map[string]bool // kind/name
	pods     []pod
	services []corev1.Service
	budgets  []policyv1.PodDisruptionBudget
}

type pod struct {
	owner string // kind/name
	spec  corev1.PodSpec
	meta  metav1.ObjectMeta
}

// custom are kinds whose types would bring their operators' code along: of them only
// what an object is called is looked at.
var custom = []string{"ServiceMonitor", "ScaledObject"}

// buildOverlay builds an overlay with Kustomize and reads what comes out with the types of
// Kubernetes; a field that there is not is an error.
func buildOverlay(t *testing.T, dir string) *cluster {
	t.Helper()
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, kubernetesDir, dir))
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, names: map[string]bool{}}
	for _, r := range made.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		key := r.GetKind() + "/" + r.GetName()
		c.names[key] = true
		c.add(key, r.GetKind(), text)
	}
	return c
}

func (c *cluster) add(key, kind string, text []byte) {
	c.t.Helper()
	read := func(into any) {
		if err := yaml.UnmarshalStrict(text, into); err != nil {
			c.t.Errorf("%s: %v", key, err)
		}
	}
	switch kind {
	case "Deployment":
		var d appsv1.Deployment
		read(&d)
		c.pods = append(c.pods, pod{key, d.Spec.Template.Spec, d.Spec.Template.ObjectMeta})
		if s, err := metav1.LabelSelectorAsSelector(d.Spec.Selector); err != nil || !s.Matches(labels.Set(d.Spec.Template.Labels)) {
			c.t.Errorf("%s does not select its own pods: %v", key, err)
		}
	case "CronJob":
		var j batchv1.CronJob
		read(&j)
		if j.Spec.ConcurrencyPolicy != batchv1.ForbidConcurrent {
			c.t.Errorf("%s: concurrencyPolicy is %q", key, j.Spec.ConcurrencyPolicy)
		}
		c.pods = append(c.pods, pod{key, j.Spec.JobTemplate.Spec.Template.Spec, j.Spec.JobTemplate.Spec.Template.ObjectMeta})
	case "Job":
		var j batchv1.Job
		read(&j)
		c.pods = append(c.pods, pod{key, j.Spec.Template.Spec, j.Spec.Template.ObjectMeta})
	case "Service":
		var s corev1.Service
		read(&s)
		c.services = append(c.services, s)
	case "PodDisruptionBudget":
		var b policyv1.PodDisruptionBudget
		read(&b)
		c.budgets = append(c.budgets, b)
	case "NetworkPolicy":
		read(new(networkingv1.NetworkPolicy))
	case "ServiceAccount":
		var a corev1.ServiceAccount
		read(&a)
		if a.AutomountServiceAccountToken == nil || *a.AutomountServiceAccountToken {
			c.t.Errorf("%s gives pods a token", key)
		}
	case "Namespace":
		var n corev1.Namespace
		read(&n)
		if n.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
			c.t.Errorf("%s does not enforce the restricted profile", key)
		}
	case "ConfigMap":
		read(new(corev1.ConfigMap))
	case "Secret":
		read(new(corev1.Secret))
	default:
		if !slices.Contains(custom, kind) {
			c.t.Errorf("%s is of a kind that is not known here", key)
		}
	}
}

// TestKubernetes looks at what base, overlays and components make.
func TestKubernetes(t *testing.T) {
	for dir, wanted := range map[string][]string{
		"base":             {"Deployment/worker", "CronJob/enqueue", "Service/worker", "PodDisruptionBudget/worker", "NetworkPolicy/rollcall", "ServiceAccount/rollcall"},
		"overlays/example": {"Deployment/worker", "Namespace/rollcall", "ServiceMonitor/rollcall", "ScaledObject/worker"},
		"overlays/demo":    {"Deployment/worker", "Deployment/redis", "Deployment/graphsim", "Job/demo", "Namespace/rollcall-demo"},
	} {
		t.Run(dir, func(t *testing.T) {
			c := buildOverlay(t, dir)
			for _, key := range wanted {
				if !c.names[key] {
					t.Errorf("there is no %s", key)
				}
			}
			if dir != "overlays/demo" {
				for key := range c.names {
					if strings.HasPrefix(key, "Secret/") {
						t.Errorf("%s would be committed", key)
					}
				}
			}
			for _, p := range c.pods {
				c.checkPod(p)
			}
			for _, s := range c.services {
				if !slices.ContainsFunc(c.pods, func(p pod) bool { return c.serves(s, p) }) {
					t.Errorf("no pod serves Service/%s", s.Name)
				}
			}
			for _, b := range c.budgets {
				s, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
				if err != nil || !slices.ContainsFunc(c.pods, func(p pod) bool { return s.Matches(labels.Set(p.meta.Labels)) }) {
					t.Errorf("PodDisruptionBudget/%s is for no pod: %v", b.Name, err)
				}
			}
		})
	}
}

// serves tells whether a pod has the labels and the ports of a service.
func (c *cluster) serves(s corev1.Service, p pod) bool {
	if !labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(p.meta.Labels)) {
		return false
	}
	for _, port := range s.Spec.Ports {
		if !hasPort(p.spec.Containers[0], port.TargetPort.StrVal) {
			return false
		}
	}
	return true
}

func hasPort(c corev1.Container, name string) bool {
	return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == name })
}

func (c *cluster) checkPod(p pod) {
	c.t.Helper()
	checks, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	if r := policy.AggregateCheckResults(checks.EvaluatePod(restricted, &p.meta, &p.spec)); !r.Allowed {
		c.t.Errorf("%s is not restricted: %s", p.owner, r.ForbiddenDetail())
	}
	if p.spec.AutomountServiceAccountToken == nil || *p.spec.AutomountServiceAccountToken {
		c.t.Errorf("%s gets a token for Kubernetes", p.owner)
	}
	volumes := map[string]bool{}
	for _, v := range p.spec.Volumes {
		volumes[v.Name] = true
		if v.ConfigMap != nil && !c.names["ConfigMap/"+v.ConfigMap.Name] {
			c.t.Errorf("%s mounts ConfigMap/%s, which there is not", p.owner, v.ConfigMap.Name)
		}
		c.checkSecret(p, v)
	}
	for _, k := range p.spec.Containers {
		if k.SecurityContext == nil || k.SecurityContext.ReadOnlyRootFilesystem == nil || !*k.SecurityContext.ReadOnlyRootFilesystem {
			c.t.Errorf("%s can write to its file system", p.owner)
		}
		if k.Resources.Requests.Cpu().IsZero() || k.Resources.Requests.Memory().IsZero() || k.Resources.Limits.Memory().IsZero() {
			c.t.Errorf("%s does not say what it needs, or may take any memory", p.owner)
		}
		for _, m := range k.VolumeMounts {
			if !volumes[m.Name] {
				c.t.Errorf("%s mounts %s, which there is not", p.owner, m.Name)
			}
		}
		for _, e := range k.EnvFrom {
			if e.ConfigMapRef != nil && !c.names["ConfigMap/"+e.ConfigMapRef.Name] {
				c.t.Errorf("%s takes its environment from ConfigMap/%s, which there is not", p.owner, e.ConfigMapRef.Name)
			}
		}
		for what, probe := range map[string]*corev1.Probe{"startup": k.StartupProbe, "liveness": k.LivenessProbe, "readiness": k.ReadinessProbe} {
			if probe != nil && probe.HTTPGet != nil && !hasPort(k, probe.HTTPGet.Port.StrVal) {
				c.t.Errorf("%s: no port for the %s probe", p.owner, what)
			}
		}
		if k.Name != "worker" {
			continue
		}
		if k.StartupProbe == nil || k.LivenessProbe == nil || k.ReadinessProbe == nil {
			c.t.Errorf("%s lacks a probe", p.owner)
		}
		if grace := p.spec.TerminationGracePeriodSeconds; grace == nil || float64(*grace) < shutdownTime.Seconds() {
			c.t.Errorf("%s is killed before it has ended by itself", p.owner)
		}
	}
}

// secrets are what an operator makes: its name, and its keys.
var secrets = map[string][]string{"rollcall": {"redis-password", "azure-client-secret", "console-token"}}

func (c *cluster) checkSecret(p pod, v corev1.Volume) {
	c.t.Helper()
	if v.Secret == nil || c.names["Secret/"+v.Secret.SecretName] {
		return
	}
	keys, ok := secrets[v.Secret.SecretName]
	if !ok {
		c.t.Errorf("%s mounts Secret/%s, which nobody makes; there are %v", p.owner, v.Secret.SecretName, slices.Collect(maps.Keys(secrets)))
	}
	for _, item := range v.Secret.Items {
		if !slices.Contains(keys, item.Key) {
			c.t.Errorf("%s mounts the key %s of Secret/%s, which nobody makes", p.owner, item.Key, v.Secret.SecretName)
		}
	}
}

// TestDemoFiles compares the demo's files, which Kustomize wants beside it, with the
// examples.
func TestDemoFiles(t *testing.T) {
	for _, name := range []string{"roster.csv", "simulator.token"} {
		a, err := os.ReadFile(filepath.Join(root, "examples", name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(root, kubernetesDir, "overlays", "demo", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s is not as in examples/", name)
		}
	}
}

// TestNothingIsLeftOut wants each directory of manifests to be built by a test.
func TestNothingIsLeftOut(t *testing.T) {
	built := []string{"base", "components/console", "components/keda", "components/monitoring", "overlays/demo", "overlays/example"}
	var found []string
	err := filepath.WalkDir(filepath.Join(root, kubernetesDir), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "kustomization.yaml" {
			dir, _ := filepath.Rel(filepath.Join(root, kubernetesDir), filepath.Dir(path))
			found = append(found, filepath.ToSlash(dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if slices.Sort(found); !slices.Equal(found, built) {
		t.Errorf("there are %v, and %v are built", found, built)
	}
}
