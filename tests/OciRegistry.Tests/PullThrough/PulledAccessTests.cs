using System.Net;
using OciRegistry.Tests.Auth;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>Policies are about the names that repositories have here, however a client calls them.</summary>
public sealed class PulledAccessTests : IAsyncLifetime
{
    private FakeUpstream _upstream = null!;
    private GuardedRegistry _registry = null!;
    private FakeImage _image = null!;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _image = _upstream.AddImage("team/app", "v1", [1]);
        _upstream.AddImage("other/app", "v1", [2]);
        _registry = await GuardedRegistry.StartAsync(
            AuthMode.Bearer,
            ["alice"],
            [GuardedRegistry.Allow("user:alice", "up/team/**", "pull")],
            options => options.PullThrough.Upstreams.Add(new UpstreamOptions
            {
                Prefix = "up",
                Url = _upstream.Url.AbsoluteUri,
                Namespaces = ["docker.io"],
                MirrorHosts = ["mirror.example.com"],
            }));
    }

    public async ValueTask DisposeAsync()
    {
        await _registry.DisposeAsync();
        await _upstream.DisposeAsync();
    }

    [Theory]
    [InlineData("/v2/up/{0}/app/manifests/v1", null)]
    [InlineData("/v2/{0}/app/manifests/v1?ns=docker.io", null)]
    [InlineData("/v2/{0}/app/manifests/v1", "mirror.example.com")]
    public async Task Nothing_is_fetched_for_who_may_not_pull_it(string path, string? host)
    {
        foreach (var name in new[] { "team", "other" })
        {
            using var challenged = await GetAsync(string.Format(path, name), host, null);
            challenged.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
            challenged.Header("WWW-Authenticate")!.ShouldContain($"scope=\"repository:up/{name}/app:pull\"");
        }

        var token = await _registry.TokenAsync("alice", "repository:up/team/app:pull repository:up/other/app:pull");
        using (var denied = await GetAsync(string.Format(path, "other"), host, token))
        {
            denied.StatusCode.ShouldBe(HttpStatusCode.Forbidden);
        }

        _upstream.Calls.ShouldBeEmpty();
        using var pulled = await GetAsync(string.Format(path, "team"), host, token);
        await pulled.ShouldBeContentAsync(_image.Digest, _image.Manifest);
    }

    [Fact]
    public async Task The_name_that_a_client_calls_it_by_gives_no_rights_to_it()
    {
        // A token for team/app, which would be one of our own repositories.
        var token = await _registry.TokenAsync("alice", "repository:team/app:pull");
        using var refused = await GetAsync("/v2/team/app/manifests/v1?ns=docker.io", null, token);
        refused.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
        _upstream.Calls.ShouldBeEmpty();
    }

    private async Task<HttpResponseMessage> GetAsync(string path, string? host, string? token)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        request.Headers.Host = host;
        request.Headers.Authorization = token is null ? null : new("Bearer", token);
        return await _registry.Http.SendAsync(request);
    }
}
