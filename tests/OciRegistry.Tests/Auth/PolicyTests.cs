using System.Text;
using OciRegistry.Auth;

namespace OciRegistry.Tests.Auth;

/// <summary>What policies say: pure, without a server.</summary>
public sealed class PolicyTests
{
    private static readonly Dictionary<string, IReadOnlyList<string>> NoGroups = [];

    [Theory]
    [InlineData("team-a/app", "team-a/app", true)]
    [InlineData("team-a/app", "team-a/app2", false)]
    [InlineData("team-a/**", "team-a/app", true)]
    [InlineData("team-a/**", "team-a/app/sub", true)]
    [InlineData("team-a/**", "team-a", false)]
    [InlineData("team-a/**", "team-ab/app", false)]
    [InlineData("team-a/*", "team-a/app", true)]
    [InlineData("team-a/*", "team-a/app/sub", false)]
    [InlineData("*/app", "team-a/app", true)]
    [InlineData("*/app", "team-a/sub/app", false)]
    [InlineData("**/app", "team-a/sub/app", true)]
    [InlineData("team-*/app", "team-abc/app", true)]
    [InlineData("a.b/**", "axb/app", false)]
    [InlineData("**", "anything/at/all", true)]
    [InlineData("*", "anything", true)]
    [InlineData("*", "any/thing", false)]
    public void A_pattern_matches_names(string pattern, string name, bool matches) =>
        new NamePattern(pattern).Matches(name).ShouldBe(matches);

    [Fact]
    public void A_pattern_of_many_stars_takes_no_longer_than_any() =>
        new NamePattern(string.Concat(Enumerable.Repeat("*a", 50)) + "b").Matches(new string('a', 250)).ShouldBeFalse();

    [Theory]
    [InlineData("user:alice", "user:alice", true)]
    [InlineData("user:alice", "user:alice2", false)]
    [InlineData("user:*", "user:alice", true)]
    [InlineData("user:*", "robot:alice", false)]
    [InlineData("authenticated", "robot:alice", true)]
    [InlineData("authenticated", "anonymous", false)]
    [InlineData("anonymous", "anonymous", true)]
    [InlineData("anonymous", "user:anonymous", false)]
    [InlineData("github:repo:my-org/**", "github:repo:my-org/app:ref:refs/heads/main", true)]
    [InlineData("github:repo:my-org/*:ref:refs/heads/main", "github:repo:my-org/app:ref:refs/heads/main", true)]
    [InlineData("github:repo:my-org/*:ref:refs/heads/main", "github:repo:other/app:ref:refs/heads/main", false)]
    [InlineData("k8s:system:serviceaccount:builds:*", "k8s:system:serviceaccount:builds:kaniko", true)]
    [InlineData("cert:spiffe://example.org/**", "cert:spiffe://example.org/ns/a/sa/b", true)]
    [InlineData("cert:cn:*", "cert:cn:node-1", true)]
    [InlineData("cert:cn:*", "cert:spiffe://example.org/ns/a/sa/b", false)]
    public void A_rule_names_subjects(string pattern, string subject, bool names) =>
        Rule(GuardedRegistry.Allow(pattern, "**", "pull")).Names(new Caller(subject)).ShouldBe(names);

    [Fact]
    public void Rights_add_up_and_what_none_allows_is_denied()
    {
        var policies = new PolicySet(
        [
            Rule(GuardedRegistry.Allow("user:alice", "a/**", "pull")),
            Rule(GuardedRegistry.Allow("user:alice", "a/b/**", "create-only")),
            Rule(GuardedRegistry.Allow("user:*", "a/b/c", "push")),
            Rule(GuardedRegistry.Allow("user:bob", "a/**", "delete")),
        ]);
        var alice = new Caller("user:alice");

        policies.RightsOf(alice, "b/c").ShouldBe(Rights.None);
        policies.RightsOf(alice, "a/x").ShouldBe(Rights.Pull);
        policies.RightsOf(alice, "a/b/x").ShouldBe(Rights.Pull | Rights.Create);
        policies.RightsOf(alice, "a/b/c").ShouldBe(Rights.Pull | Rights.Push);
        policies.RightsOf(Caller.Anonymous, "a/b/c").ShouldBe(Rights.None);
    }

    [Fact]
    public void Admin_does_not_push_or_pull_and_the_other_actions_do_not_administer()
    {
        var policies = new PolicySet(
        [
            Rule(GuardedRegistry.Allow("user:operator", "**", "admin")),
            Rule(GuardedRegistry.Allow("user:lead", "team-a/**", "admin")),
            Rule(GuardedRegistry.Allow("user:alice", "**", "pull", "push", "delete")),
        ]);
        var (op, lead, alice) = (new Caller("user:operator"), new Caller("user:lead"), new Caller("user:alice"));

        (policies.IsOperator(op), policies.Administers(op)).ShouldBe((true, true));
        (policies.IsOperator(lead), policies.Administers(lead)).ShouldBe((false, true));
        (policies.IsOperator(alice), policies.Administers(alice)).ShouldBe((false, false));
        policies.RightsOf(op, "a").ShouldBe(Rights.None);
    }

    [Fact]
    public void Groups_are_those_of_the_file_and_those_of_a_token()
    {
        var rules = PolicyFile.Parse("p", Encoding.UTF8.GetBytes("""
            {
              // people
              "groups": { "developers": ["user:alice", "github:repo:team/**"] },
              "policies": [
                { "name": "team", "groups": ["developers", "entra:platform"], "repositories": ["a/**"], "actions": ["push"] },
              ]
            }
            """));

        Names("user:alice").ShouldBeTrue();
        Names("github:repo:team/app:ref:x").ShouldBeTrue();
        Names("user:bob").ShouldBeFalse();
        Names("entra:carol", "entra:platform").ShouldBeTrue();
        Names("entra:carol", "other:platform").ShouldBeFalse();
        new PolicySet(rules).Knows("entra:platform").ShouldBeTrue();
        new PolicySet(rules).Knows("entra:others").ShouldBeFalse();

        bool Names(string subject, params string[] groups) => rules.Single().Names(new Caller(subject) { Groups = groups });
    }

    [Fact]
    public void What_is_decided_is_explained_by_the_rules()
    {
        var policies = new PolicySet(PolicyFile.Parse("policy.json", Encoding.UTF8.GetBytes("""
            {
              "policies": [
                { "name": "team a", "subjects": ["user:alice"], "repositories": ["team-a/**"], "actions": ["pull", "create-only"] },
                { "name": "all", "subjects": ["authenticated"], "repositories": ["public/*"], "actions": ["pull"] }
              ]
            }
            """)));
        var (alice, bob) = (new Caller("user:alice"), new Caller("user:bob"));
        var app = RepositoryName.Parse("team-a/app");

        policies.Explain(alice, app, Rights.Pull, isOfRepository: false).ShouldBe(new Explanation(
            true, "allowed by policy 1 'team a' of policy.json (pull, create-only in team-a/**)"));
        policies.Explain(alice, app, Rights.Push, isOfRepository: false).Reason.ShouldStartWith(
            "denied: policy 1 'team a' of policy.json (pull, create-only in team-a/**) allows only a part of it");
        policies.Explain(bob, app, Rights.Pull, isOfRepository: false).Reason.ShouldBe(
            "denied: nothing allows it; the rules for user:bob are policy 2 'all' of policy.json (pull in public/*)");
        policies.Explain(Caller.Anonymous, app, Rights.Pull, isOfRepository: false).Reason.ShouldBe("denied: nothing allows it; no rule names anonymous");
    }

    [Theory]
    [InlineData("{", "Correct it")]
    [InlineData("[]", "Correct it")]
    [InlineData("""{ "policy": [] }""", "policy")]
    [InlineData("""{ "policies": [], "policies": [] }""", "policies")]
    [InlineData("""{ "policies": [null] }""", "One is null")]
    [InlineData("""{ "policies": [{ "subject": "a" }] }""", "subject")]
    [InlineData("""{ "policies": [{ "subjects": null, "repositories": ["a"], "actions": ["pull"] }] }""", "names no Subjects")]
    [InlineData("""{ "policies": [{ "subjects": ["alice"], "repositories": ["a"], "actions": ["pull"] }] }""", "'alice' is none")]
    [InlineData("""{ "policies": [{ "subjects": ["**"], "repositories": ["a"], "actions": ["pull"] }] }""", "'**' is none")]
    [InlineData("""{ "policies": [{ "subjects": ["cert:a"], "repositories": ["a"], "actions": ["pull"] }] }""", "Write cert:cn:a")]
    [InlineData("""{ "policies": [{ "subjects": ["cert:a*"], "repositories": ["a"], "actions": ["pull"] }] }""", "Write cert:cn:a*")]
    [InlineData("""{ "policies": [{ "subjects": ["*:a"], "repositories": ["a"], "actions": ["pull"] }] }""", "'*:a' is none")]
    [InlineData("""{ "policies": [{ "subjects": ["user:a"], "repositories": ["A"], "actions": ["pull"] }] }""", "'A' can match none")]
    [InlineData("""{ "policies": [{ "subjects": ["user:a"], "repositories": ["../x"], "actions": ["pull"] }] }""", "can match none")]
    [InlineData("""{ "policies": [{ "subjects": ["user:a"], "actions": ["pull"] }] }""", "names no Repositories")]
    [InlineData("""{ "policies": [{ "subjects": ["user:a"], "actions": ["admin"] }] }""", "names no Repositories")]
    [InlineData("""{ "policies": [{ "subjects": ["user:a"], "repositories": ["a"] }] }""", "has no Actions")]
    [InlineData("""{ "policies": [{ "subjects": ["user:a"], "repositories": ["a"], "actions": ["write"] }] }""", "'write' is unknown")]
    [InlineData("""{ "groups": { "x:y": [] } }""", "has a ':'")]
    [InlineData("""{ "groups": { "x": ["alice"] } }""", "Group 'x'")]
    public void A_file_that_cannot_be_is_refused_with_the_reason(string file, string reason) =>
        Should.Throw<UnusableFileException>(() => PolicyFile.Parse("policy.json", Encoding.UTF8.GetBytes(file)))
            .Message.ShouldContain(reason);

    [Fact]
    public void All_that_is_wrong_with_a_file_is_told_at_once() =>
        Should.Throw<UnusableFileException>(() => PolicyFile.Parse("policy.json", Encoding.UTF8.GetBytes(
                """{ "policies": [{ "subjects": ["alice"], "repositories": ["A"], "actions": ["write"] }, {}] }""")))
            .Problems.Count().ShouldBe(6);

    private static PolicyRule Rule(PolicyOptions policy) => new("rule", policy, NoGroups);
}
