using System.Net;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>Which upstream a request means: by prefix, by namespace, by the registry's own name; and what is nobody's.</summary>
public sealed class UpstreamMappingTests
{
    [Fact]
    public async Task A_namespace_names_an_upstream_and_is_answered()
    {
        await using var registry = await PulledRegistry.StartAsync(up => up.Namespaces = ["docker.io"]);
        var image = registry.Upstream.AddImage("library/alpine", "3", [1]);
        using (var pulled = await registry.Http.RequestAsync("GET", "/v2/library/alpine/manifests/3?ns=docker.io"))
        {
            await pulled.ShouldBeContentAsync(image.Digest, image.Manifest);
            pulled.Header("OCI-Namespace").ShouldBe("docker.io");
        }

        using (var blob = await registry.Http.RequestAsync("GET", $"/v2/library/alpine/blobs/{image.Config.Digest}?ns=docker.io"))
        {
            await blob.ShouldBeContentAsync(image.Config.Digest, image.Config.Content);
        }

        using var byPrefix = await registry.Http.GetManifestAsync("up/library/alpine", "3");
        await byPrefix.ShouldBeContentAsync(image.Digest, image.Manifest);
        registry.Upstream.Count("GET", "/manifests/3").ShouldBe(1);
    }

    [Fact]
    public async Task A_namespace_is_the_host_of_the_upstream_when_nothing_is_said()
    {
        await using var registry = await PulledRegistry.StartAsync();
        var image = registry.Upstream.AddImage("a", "v1", [1]);
        using var pulled = await registry.Http.RequestAsync("GET", $"/v2/a/manifests/v1?ns={registry.Upstream.Host}");
        await pulled.ShouldBeContentAsync(image.Digest, image.Manifest);
    }

    [Theory]
    [InlineData("evil.example.com")]
    [InlineData("169.254.169.254")]
    [InlineData("127.0.0.1:1")]
    [InlineData("docker.io%0d%0aX-Injected: 1")]
    [InlineData("docker.io&ns=evil.example.com")]
    public async Task A_namespace_that_is_not_configured_is_404_and_never_fetched(string ns)
    {
        await using var registry = await PulledRegistry.StartAsync(up => up.Namespaces = ["docker.io"]);
        await registry.Http.PushImageAsync("a", "v1");
        foreach (var method in new[] { "GET", "HEAD" })
        {
            using var unknown = await registry.Http.RequestAsync(method, $"/v2/a/manifests/v1?ns={ns}");
            unknown.StatusCode.ShouldBe(HttpStatusCode.NotFound);
            unknown.Header("OCI-Namespace").ShouldBeNull();
            unknown.Header("X-Injected").ShouldBeNull();
        }

        registry.Upstream.Calls.ShouldBeEmpty();
    }

    [Fact]
    public async Task Under_a_name_of_its_own_the_registry_is_the_upstream_and_nothing_else()
    {
        await using var registry = await PulledRegistry.StartAsync(up => up.MirrorHosts = ["mirror.example.com", "*:5001"]);
        var image = registry.Upstream.AddImage("library/alpine", "3", [1]);
        await registry.Http.PushImageAsync("library/alpine", "ours");
        foreach (var host in new[] { "mirror.example.com", "MIRROR.example.com", "anything:5001" })
        {
            using var pulled = await GetAsync(registry, host, "/v2/library/alpine/manifests/3");
            await pulled.ShouldBeContentAsync(image.Digest, image.Manifest);
            using var unknown = await GetAsync(registry, host, "/v2/library/alpine/manifests/ours");
            await unknown.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN");
        }

        using var local = await GetAsync(registry, "registry.example.com:50011", "/v2/library/alpine/manifests/ours");
        await local.ShouldHaveStatusAsync(HttpStatusCode.OK);
    }

    [Theory]
    [InlineData("ns")]
    [InlineData("mirror.example.com")]
    public async Task The_path_of_an_upstream_is_taken_off_the_full_names_of_its_host(string by)
    {
        await using var registry = await WithPathsAsync("my-project");
        var image = registry.Upstream.AddImage("my-project/r", "v1", [1]);
        foreach (var resource in new[] { "manifests/v1", $"manifests/{image.Digest}", "tags/list", $"blobs/{image.Config.Digest}" })
        {
            using var pulled = await ByFullNameAsync(registry, by, $"my-project/r/{resource}");
            await pulled.ShouldHaveStatusAsync(HttpStatusCode.OK);
        }

        registry.Upstream.Calls.ShouldAllBe(call => call.Path.StartsWith("/v2/my-project/r/", StringComparison.Ordinal));
        registry.Upstream.ForgetCalls();
        using var byPrefix = await registry.Http.GetManifestAsync("up0/r", "v1");
        await byPrefix.ShouldBeContentAsync(image.Digest, image.Manifest);
        registry.Upstream.Calls.ShouldBeEmpty();
    }

    [Theory]
    [InlineData("ns")]
    [InlineData("mirror.example.com")]
    public async Task A_full_name_that_is_not_below_the_path_is_unknown_and_never_fetched(string by)
    {
        await using var registry = await WithPathsAsync("my-project");
        foreach (var name in new[] { "r", "my-project", "my-project2/r", "other/my-project/r", "up0/r" })
        {
            using var unknown = await ByFullNameAsync(registry, by, $"{name}/manifests/v1");
            if (by == "ns" || name != "up0/r") // without a namespace, that one is named by its prefix
            {
                await unknown.ShouldBeErrorAsync(HttpStatusCode.NotFound, "NAME_UNKNOWN");
            }
        }

        registry.Upstream.Calls.ShouldAllBe(call => call.Path == "/v2/my-project/r/manifests/v1");
    }

    [Theory]
    [InlineData("ns")]
    [InlineData("mirror.example.com")]
    public async Task Of_upstreams_on_one_host_the_longest_path_has_the_name(string by)
    {
        await using var registry = await WithPathsAsync("", "team", "team/inner");
        foreach (var (name, here) in new[]
        {
            ("team/inner/r", "up2/r"), ("team/r", "up1/r"), ("teams/r", "up0/teams/r"), ("r", "up0/r"),
        })
        {
            var image = registry.Upstream.AddImage(name, "v1", [1]);
            registry.Upstream.ForgetCalls();
            using (var pulled = await ByFullNameAsync(registry, by, $"{name}/manifests/v1"))
            {
                await pulled.ShouldBeContentAsync(image.Digest, image.Manifest);
            }

            using var byPrefix = await registry.Http.GetManifestAsync(here, "v1");
            await byPrefix.ShouldBeContentAsync(image.Digest, image.Manifest);
            registry.Upstream.Calls.ShouldHaveSingleItem().Path.ShouldBe($"/v2/{name}/manifests/v1");
        }
    }

    [Fact]
    public void Docker_Hubs_official_images_are_below_a_path_as_well()
    {
        var upstream = new OciRegistry.PullThrough.Upstream(
            new UpstreamOptions { Prefix = "official", Url = "https://registry-1.docker.io/library/" }, null!);
        upstream.HasFullName("alpine").ShouldBeTrue();
        upstream.HasFullName("team/app").ShouldBeFalse();
        upstream.TryGetNameHereOfFullName("alpine", out var official).ShouldBeTrue();
        official.ToString().ShouldBe("official/alpine");
        upstream.TryGetNameHere("alpine", out official).ShouldBeTrue();
        official.ToString().ShouldBe("official/alpine");
    }

    [Fact]
    public void Docker_Hubs_short_names_are_those_of_its_official_images()
    {
        var upstream = new OciRegistry.PullThrough.Upstream(
            new UpstreamOptions { Prefix = "docker.io", Url = "https://registry-1.docker.io" }, null!);
        upstream.TryGetNameHere("alpine", out var official).ShouldBeTrue();
        official.ToString().ShouldBe("docker.io/library/alpine");
        upstream.TryGetNameHere("team/app", out var other).ShouldBeTrue();
        other.ToString().ShouldBe("docker.io/team/app");
        upstream.NameThere(official).ShouldBe("library/alpine");
        upstream.Options.AllNamespaces().ShouldContain("docker.io");
    }

    [Fact]
    public async Task Repositories_of_our_own_live_beside_those_of_upstreams()
    {
        await using var registry = await PulledRegistry.StartAsync();
        foreach (var name in new[] { "upper/a", "up", "other/up/a" })
        {
            var manifest = await registry.Http.PushImageAsync(name, "v1");
            using var pulled = await registry.Http.GetManifestAsync(name, "v1");
            await pulled.ShouldBeContentAsync(Digest.Of(manifest), manifest);
            using var unknown = await registry.Http.GetManifestAsync(name, "v2");
            await unknown.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_UNKNOWN");
        }

        registry.Upstream.Calls.ShouldBeEmpty();
    }

    [Theory]
    [InlineData("POST", "blobs/uploads/")]
    [InlineData("POST", "blobs/uploads/?mount=sha256:0000000000000000000000000000000000000000000000000000000000000000&from=a")]
    [InlineData("PUT", "manifests/v1")]
    [InlineData("PATCH", "blobs/uploads/00000000000000000000000000000000")]
    public async Task Nothing_is_pushed_into_an_upstreams_repositories(string method, string path)
    {
        await using var registry = await PulledRegistry.StartAsync(up => up.Namespaces = ["docker.io"]);
        foreach (var target in new[] { $"/v2/up/a/{path}", $"/v2/a/{path}{(path.Contains('?') ? "&" : "?")}ns=docker.io" })
        {
            using var refused = await registry.Http.RequestAsync(method, target);
            await refused.ShouldBeErrorAsync(HttpStatusCode.MethodNotAllowed, "UNSUPPORTED");
            refused.Content.Headers.Allow.ShouldNotContain(method);
        }

        registry.Upstream.Calls.ShouldBeEmpty();
    }

    [Fact]
    public async Task What_was_pushed_where_that_is_allowed_is_served_whatever_the_upstream_has()
    {
        await using var registry = await PulledRegistry.StartAsync(up => (up.AllowPush, up.TagTtl) = (true, TimeSpan.Zero));
        var (upstream, http) = (registry.Upstream, registry.Http);
        var theirs = upstream.AddImage("a", "v1", [1]);
        using (var pulled = await http.GetManifestAsync("up/a", "v1"))
        {
            await pulled.ShouldBeContentAsync(theirs.Digest, theirs.Manifest);
        }

        var ours = await http.PushImageAsync("up/a", "v1");
        upstream.ForgetCalls();
        using (var pulled = await http.GetManifestAsync("up/a", "v1"))
        {
            await pulled.ShouldBeContentAsync(Digest.Of(ours), ours);
        }

        upstream.Calls.ShouldBeEmpty();
        using (var other = await http.GetManifestAsync("up/a", "v2"))
        {
            other.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        }

        // Deleted, it is the upstream's again.
        using (var deleted = await http.DeleteAsync("/v2/up/a/manifests/v1"))
        {
            await deleted.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        }

        using var again = await http.GetManifestAsync("up/a", "v1");
        await again.ShouldBeContentAsync(theirs.Digest, theirs.Manifest);
    }

    [Fact]
    public async Task A_push_that_fails_leaves_the_tag_to_the_upstream()
    {
        await using var registry = await PulledRegistry.StartAsync(up => (up.AllowPush, up.TagTtl) = (true, TimeSpan.Zero));
        registry.Upstream.AddImage("a", "v1", [1]);
        using (await registry.Http.GetManifestAsync("up/a", "v1"))
        {
        }

        var broken = RegistryClient.ImageManifest([1, 2], [[3, 4]]);
        using (var refused = await registry.Http.PutManifestAsync("up/a", "v1", broken))
        {
            await refused.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN");
        }

        var moved = registry.Upstream.AddImage("a", "v1", [2]);
        using var pulled = await registry.Http.GetManifestAsync("up/a", "v1");
        await pulled.ShouldBeContentAsync(moved.Digest, moved.Manifest);
    }

    [Theory]
    [InlineData("library/alpine", true)]
    [InlineData("team/app", true)]
    [InlineData("team/secret", false)]
    [InlineData("other/app", false)]
    public async Task Only_what_is_allowed_and_not_denied_is_pulled(string repository, bool isAllowed)
    {
        await using var registry = await PulledRegistry.StartAsync(up =>
        {
            up.Allow = ["library/*", "team/**"];
            up.Deny = ["team/secret"];
        });
        var image = registry.Upstream.AddImage(repository, "v1", [1]);
        string[] paths =
            ["manifests/v1", $"manifests/{image.Digest}", $"blobs/{image.Config.Digest}", "tags/list"];
        foreach (var path in paths)
        {
            using var answer = await registry.Http.RequestAsync("GET", $"/v2/up/{repository}/{path}");
            if (isAllowed)
            {
                await answer.ShouldHaveStatusAsync(HttpStatusCode.OK);
            }
            else
            {
                await answer.ShouldBeErrorAsync(HttpStatusCode.Forbidden, "DENIED");
            }
        }

        registry.Upstream.Calls.Count.ShouldBe(isAllowed ? 3 : 0);
    }

    /// <summary>Upstreams <c>up0</c> and so on at one host, with a path each, for <c>?ns=ns</c> and a host of this registry.</summary>
    private static async Task<PulledRegistry> WithPathsAsync(params string[] paths)
    {
        var fake = await FakeUpstream.StartAsync();
        return await PulledRegistry.StartAsync(
            options: options =>
            {
                options.PullThrough.Upstreams.Clear();
                foreach (var (i, path) in paths.Index())
                {
                    options.PullThrough.Upstreams.Add(new UpstreamOptions
                    {
                        Prefix = $"up{i}",
                        Url = fake.Url.AbsoluteUri + path,
                        Namespaces = ["ns"],
                        MirrorHosts = ["mirror.example.com"],
                    });
                }
            },
            fake: fake);
    }

    private static Task<HttpResponseMessage> ByFullNameAsync(PulledRegistry registry, string by, string path) => by == "ns"
        ? registry.Http.RequestAsync("GET", $"/v2/{path}?ns=ns")
        : GetAsync(registry, by, $"/v2/{path}");

    private static async Task<HttpResponseMessage> GetAsync(PulledRegistry registry, string host, string path)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        request.Headers.Host = host;
        return await registry.Http.SendAsync(request);
    }
}
