using System.Net;
using System.Text;
using Microsoft.Extensions.DependencyInjection;
using OciRegistry.Auth;
using OciRegistry.Tests.Support;
using static OciRegistry.Tests.Auth.GuardedRegistry;

namespace OciRegistry.Tests.Auth;

/// <summary>What policies do to requests, beyond letting them through or not.</summary>
public sealed class PolicyEnforcementTests
{
    private static readonly byte[] First = Encoding.UTF8.GetBytes(
        $$"""{"schemaVersion":2,"mediaType":"{{MediaTypes.ImageIndex}}","manifests":[]}""");

    private static readonly byte[] Second = Encoding.UTF8.GetBytes(
        $$$"""{"schemaVersion":2,"mediaType":"{{{MediaTypes.ImageIndex}}}","manifests":[],"annotations":{"a":"b"}}""");

    private readonly string _repository = RegistryClient.NewRepository();

    [Fact]
    public async Task Who_may_only_create_sets_new_tags_and_moves_none()
    {
        await using var registry = await GuardedRegistry.StartAsync(
            AuthMode.Basic,
            ["ci", "lead"],
            [Allow("user:ci", "test/**", "pull", "create-only"), Allow("user:lead", "test/**", "pull", "push", "delete")]);
        using var ci = registry.ClientWith(Basic("ci"));
        using var lead = registry.ClientWith(Basic("lead"));

        await PutAsync(ci, "v1", First, HttpStatusCode.Created);
        await PutAsync(ci, "v1", First, HttpStatusCode.Created); // the same again: its answer may have been lost
        using var moved = await ci.PutManifestAsync(_repository, "v1", Second, MediaTypes.ImageIndex);
        await moved.ShouldBeErrorAsync(HttpStatusCode.Forbidden, "DENIED");
        (await TagAsync(ci, "v1")).ShouldBe(Digest.Of(First).ToString());

        using var many = await ci.PutManifestAsync(
            _repository, $"{Digest.Of(Second)}?tag=v2&tag=v1", Second, MediaTypes.ImageIndex);
        await many.ShouldBeErrorAsync(HttpStatusCode.Forbidden, "DENIED");
        using var none = await ci.GetManifestAsync(_repository, "v2");
        none.StatusCode.ShouldBe(HttpStatusCode.NotFound);

        await PutAsync(ci, "v2", Second, HttpStatusCode.Created);
        await PutAsync(lead, "v1", Second, HttpStatusCode.Created);
        using var deleted = await lead.DeleteAsync(new Uri($"/v2/{_repository}/manifests/v1", UriKind.Relative));
        deleted.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        await PutAsync(ci, "v1", First, HttpStatusCode.Created); // what was deleted may be created again
    }

    [Fact]
    public async Task Of_many_who_may_only_create_a_tag_one_does()
    {
        await using var registry = await GuardedRegistry.StartAsync(
            AuthMode.Basic, ["ci"], [Allow("user:ci", "test/**", "pull", "create-only")]);
        using var ci = registry.ClientWith(Basic("ci"));
        var manifests = Enumerable.Range(0, 16).Select(i => Encoding.UTF8.GetBytes(
            $$$"""{"schemaVersion":2,"mediaType":"{{{MediaTypes.ImageIndex}}}","manifests":[],"annotations":{"a":"{{{i}}}"}}""")).ToList();

        var answers = await Task.WhenAll(manifests.Select(
            manifest => ci.PutManifestAsync(_repository, "v1", manifest, MediaTypes.ImageIndex)));

        answers.Count(answer => answer.StatusCode == HttpStatusCode.Created).ShouldBe(1);
        answers.Count(answer => answer.StatusCode == HttpStatusCode.Forbidden).ShouldBe(15);
        var winner = Array.FindIndex(answers, answer => answer.StatusCode == HttpStatusCode.Created);
        (await TagAsync(ci, "v1")).ShouldBe(Digest.Of(manifests[winner]).ToString());
    }

    [Fact]
    public async Task Who_may_only_create_cannot_give_a_manifest_another_type()
    {
        await using var registry = await GuardedRegistry.StartAsync(
            AuthMode.Basic, ["ci"], [Allow("user:ci", "test/**", "pull", "create-only")]);
        using var ci = registry.ClientWith(Basic("ci"));
        var untyped = """{"schemaVersion":2,"manifests":[]}"""u8.ToArray();
        using var pushed = await ci.PutManifestAsync(_repository, "v1", untyped, MediaTypes.ImageIndex);
        pushed.StatusCode.ShouldBe(HttpStatusCode.Created);

        using var again = await ci.PutManifestAsync(
            _repository, Digest.Of(untyped).ToString(), untyped, "application/vnd.docker.distribution.manifest.list.v2+json");

        using var pulled = await ci.GetManifestAsync(_repository, "v1");
        pulled.Header("Content-Type").ShouldBe(MediaTypes.ImageIndex);
    }

    [Fact]
    public async Task The_catalog_shows_what_somebody_may_pull_page_by_page()
    {
        await using var registry = await GuardedRegistry.StartAsync(
            AuthMode.Several,
            ["root", "alice", "bob", "carol"],
            [
                Allow("user:root", "**", "pull", "push"),
                Allow("user:alice", "b/**", "pull"),
                Allow("user:alice", "*/x", "pull"),
                Allow("user:alice", "d/exact", "pull"),
                Allow("user:bob", "zz/**", "pull"),
                Allow("user:carol", "**", "push"),
            ]);
        using var root = registry.ClientWith(Basic("root"));
        string[] names = ["a", "a/x", "a/y", "b", "b-c/y", "b/a", "b/b", "b/b/c", "c/x", "c/x/y", "d/exact", "d/exact2", "e/x", "z/y"];
        foreach (var name in names)
        {
            await root.PushBlobAsync(name, [1]);
        }

        (await CatalogAsync(registry, "root")).ShouldBe(names);
        (await CatalogAsync(registry, "alice")).ShouldBe(["a/x", "b/a", "b/b", "b/b/c", "c/x", "d/exact", "e/x"]);
        (await CatalogAsync(registry, "bob")).ShouldBeEmpty();
        (await CatalogAsync(registry, "carol")).ShouldBeEmpty();
        using var nobody = await registry.Http.GetAsync(new Uri("/v2/_catalog", UriKind.Relative));
        await nobody.ShouldBeErrorAsync(HttpStatusCode.Unauthorized, "UNAUTHORIZED");
        nobody.Headers.WwwAuthenticate.ToString().ShouldContain("scope=\"registry:catalog:*\"");
    }

    [Theory]
    [InlineData("")]
    [InlineData("&from={0}")]
    public async Task A_mount_from_where_somebody_may_not_look_is_like_one_of_a_blob_that_is_not_there(string from)
    {
        await using var registry = await GuardedRegistry.StartAsync(
            AuthMode.Basic,
            ["root", "alice"],
            [Allow("user:root", "**", "pull", "push"), Allow("user:alice", "mine/**", "pull", "push")]);
        using var root = registry.ClientWith(Basic("root"));
        using var alice = registry.ClientWith(Basic("alice"));
        var blob = await root.PushBlobAsync("secret/app", RegistryClient.RandomBytes(10));
        var query = string.Format(null, from, "secret/app");

        using var hidden = await alice.StartUploadAsync("mine/app", $"?mount={blob}{query}");
        using var missing = await alice.StartUploadAsync("mine/app", $"?mount={Digest.Of([9])}{query}");

        await hidden.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        missing.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        hidden.Headers.Select(header => header.Key).ShouldBe(missing.Headers.Select(header => header.Key));
        using var head = await alice.HeadBlobAsync("mine/app", blob);
        head.StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task A_mount_asks_for_a_token_that_pulls_from_the_source()
    {
        await using var registry = await GuardedRegistry.StartAsync(
            AuthMode.Bearer, ["alice"], [Allow("user:alice", "**", "pull", "push")]);
        using (var pusher = await registry.ClientOfAsync("alice", "base/app"))
        {
            await pusher.PushBlobAsync("base/app", [1, 2, 3]);
        }

        var blob = Digest.Of([1, 2, 3]);
        using var narrow = await registry.ClientOfAsync("alice", "mine/app");
        var query = $"?mount={blob}&from=base/app";

        using var refused = await narrow.StartUploadAsync("mine/app", query);
        await refused.ShouldBeErrorAsync(HttpStatusCode.Unauthorized, "UNAUTHORIZED");
        refused.Headers.WwwAuthenticate.ToString()
            .ShouldContain("scope=\"repository:mine/app:pull,push repository:base/app:pull\"");

        using var wide = registry.ClientWith(Bearer(
            await registry.TokenAsync("alice", "repository:mine/app:pull,push repository:base/app:pull")));
        using var mounted = await wide.StartUploadAsync("mine/app", query);
        mounted.StatusCode.ShouldBe(HttpStatusCode.Created);
    }

    [Fact]
    public async Task A_mount_without_a_source_looks_where_the_token_pulls_and_nowhere_else()
    {
        await using var registry = await GuardedRegistry.StartAsync(
            AuthMode.Bearer, ["alice"], [Allow("user:alice", "**", "pull", "push")]);
        using (var pusher = await registry.ClientOfAsync("alice", "base/app"))
        {
            await pusher.PushBlobAsync("base/app", [1, 2, 3]);
        }

        var query = $"?mount={Digest.Of([1, 2, 3])}";
        using var narrow = await registry.ClientOfAsync("alice", "mine/app");
        using var started = await narrow.StartUploadAsync("mine/app", query);
        await started.ShouldHaveStatusAsync(HttpStatusCode.Accepted);

        using var wide = registry.ClientWith(Bearer(
            await registry.TokenAsync("alice", "repository:mine/app:pull,push repository:base/app:pull")));
        using var mounted = await wide.StartUploadAsync("mine/app", query);
        await mounted.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }

    [Theory]
    [InlineData("team/**")]
    [InlineData("*/base")]
    [InlineData("team/base")]
    public async Task A_mount_without_a_source_looks_where_a_login_pulls(string pattern)
    {
        await using var registry = await GuardedRegistry.StartAsync(
            AuthMode.Basic,
            ["root", "alice"],
            [Allow("user:root", "**", "pull", "push"), Allow("user:alice", "mine/**", "pull", "push"), Allow("user:alice", pattern, "pull")]);
        using var root = registry.ClientWith(Basic("root"));
        using var alice = registry.ClientWith(Basic("alice"));
        var blob = await root.PushBlobAsync("team/base", RegistryClient.RandomBytes(10));

        using var mounted = await alice.StartUploadAsync("mine/app", $"?mount={blob}");

        await mounted.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }

    [Theory]
    [InlineData(AuthMode.Basic)]
    [InlineData(AuthMode.Bearer)]
    public async Task What_a_mount_without_a_source_reads_does_not_depend_on_hidden_repositories(AuthMode mode)
    {
        await using var registry = await GuardedRegistry.StartAsync(
            mode,
            ["root", "alice"],
            [Allow("user:root", "**", "pull", "push"), Allow("user:alice", "mine/**", "pull", "push")]);
        var bytes = RegistryClient.RandomBytes(10);
        for (var i = 0; i < 20; i++)
        {
            using var root = await registry.ClientOfAsync("root", $"secret/{i}");
            await root.PushBlobAsync($"secret/{i}", bytes);
        }

        using var alice = await registry.ClientOfAsync("alice", "mine/app");
        await alice.NewUploadAsync("mine/app"); // what is read once only, was
        var held = await ReadsAsync(Digest.Of(bytes));
        var unknown = await ReadsAsync(Digest.Of([9]));

        held.ShouldBe(unknown);

        async Task<(double, double)> ReadsAsync(Digest digest)
        {
            var before = await StoreReadsAsync(registry);
            using var started = await alice.StartUploadAsync("mine/app", $"?mount={digest}");
            await started.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
            var after = await StoreReadsAsync(registry);
            return (after.Reads - before.Reads, after.Lists - before.Lists);
        }
    }

    private static async Task<(double Reads, double Lists)> StoreReadsAsync(GuardedRegistry registry)
    {
        var lines = (await registry.Http.GetStringAsync(new Uri("/metrics", UriKind.Relative))).Split('\n');
        return (Sum("read"), Sum("list"));

        double Sum(string operation) => lines
            .Where(line => line.StartsWith("oci_registry_store_duration_seconds_count{", StringComparison.Ordinal)
                && line.Contains("store=\"documents\"", StringComparison.Ordinal)
                && line.Contains($"operation=\"{operation}\"", StringComparison.Ordinal))
            .Sum(line => double.Parse(line.Split(' ')[^1], System.Globalization.CultureInfo.InvariantCulture));
    }

    [Fact]
    public async Task A_policy_file_that_changes_counts_at_once_and_a_broken_one_does_not()
    {
        var time = new ManualTimeProvider();
        var policies = Path.Combine(Directory.CreateTempSubdirectory("oci-registry-policy-").FullName, "policy.json");
        await File.WriteAllTextAsync(policies, PolicyFor("user:alice"));
        await using var registry = await GuardedRegistry.StartAsync(
            AuthMode.Basic,
            ["alice", "bob"],
            [],
            options => options.Auth.PolicyFile = policies,
            services => services.AddSingleton<TimeProvider>(time));
        using var alice = registry.ClientWith(Basic("alice"));
        using var bob = registry.ClientWith(Basic("bob"));
        await IsAnsweredAsync(alice, HttpStatusCode.NotFound);
        await IsAnsweredAsync(bob, HttpStatusCode.Forbidden);

        await File.WriteAllTextAsync(policies, "{ \"policies\": [ { } ] }");
        await ChangeIsSeenAsync(() => registry.App.Log.Lines.Any(line => line.Contains("still counts", StringComparison.Ordinal)));
        await IsAnsweredAsync(alice, HttpStatusCode.NotFound);
        await IsAnsweredAsync(bob, HttpStatusCode.Forbidden);
        var said = registry.App.Log.Lines.Count;

        await File.WriteAllTextAsync(policies, PolicyFor("user:bob"));
        await ChangeIsSeenAsync(() => registry.App.Services.GetRequiredService<AuthFiles>().Policies
            .RightsOf(new Caller("user:bob"), "test/a").HasFlag(Rights.Pull));
        await IsAnsweredAsync(alice, HttpStatusCode.Forbidden);
        await IsAnsweredAsync(bob, HttpStatusCode.NotFound);
        registry.App.Log.Lines.Count(line => line.Contains("still counts", StringComparison.Ordinal)).ShouldBe(1, "said once");
        Directory.Delete(Path.GetDirectoryName(policies)!, recursive: true);

        Task ChangeIsSeenAsync(Func<bool> seen) => Until.TrueAsync(
            () =>
            {
                time.Advance(AuthFilesService.Interval);
                return seen();
            },
            "the change is seen");

        async Task IsAnsweredAsync(HttpClient client, HttpStatusCode status)
        {
            using var answer = await client.GetManifestAsync(_repository, "v1");
            answer.StatusCode.ShouldBe(status);
        }

        static string PolicyFor(string subject) =>
            $$"""{ "policies": [ { "subjects": ["{{subject}}"], "repositories": ["test/**"], "actions": ["pull"] } ] }""";
    }

    [Fact]
    public async Task A_change_of_the_policy_counts_for_tokens_that_are_out()
    {
        await using var registry = await GuardedRegistry.StartAsync(AuthMode.Bearer, ["alice"], [], options =>
        {
            options.Auth.PolicyFile = Path.Combine(Path.GetDirectoryName(options.Auth.Htpasswd)!, "policies.json");
            File.WriteAllText(options.Auth.PolicyFile, """{ "policies": [ { "subjects": ["user:alice"], "repositories": ["**"], "actions": ["pull"] } ] }""");
        });
        using var alice = registry.ClientWith(Bearer(await registry.TokenAsync("alice", $"repository:{_repository}:pull")));
        using var before = await alice.GetManifestAsync(_repository, "v1");
        before.StatusCode.ShouldBe(HttpStatusCode.NotFound);

        await File.WriteAllTextAsync(registry.PolicyFile, "{}");
        registry.RefreshFiles();

        using var after = await alice.GetManifestAsync(_repository, "v1");
        after.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
    }

    private static async Task<List<string>> CatalogAsync(GuardedRegistry registry, string user)
    {
        // In pages of two: each begins where the last one ended.
        var names = new List<string>();
        for (string? next = "/v2/_catalog?n=2"; next is not null;)
        {
            var page = next;
            using var answer = await registry.SendAsync(user, () => new HttpRequestMessage(HttpMethod.Get, page));
            var listed = (await answer.JsonAsync()).Texts("repositories");
            listed.Length.ShouldBeLessThanOrEqualTo(2);
            names.AddRange(listed);
            next = answer.NextPage();
        }

        return names;
    }

    private async Task PutAsync(HttpClient client, string tag, byte[] manifest, HttpStatusCode status)
    {
        using var answer = await client.PutManifestAsync(_repository, tag, manifest, MediaTypes.ImageIndex);
        await answer.ShouldHaveStatusAsync(status);
    }

    private async Task<string?> TagAsync(HttpClient client, string tag)
    {
        using var answer = await client.GetManifestAsync(_repository, tag);
        return answer.Header("Docker-Content-Digest");
    }
}
