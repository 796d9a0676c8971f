using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>A registry inside an application that has other things to do.</summary>
public sealed class EmbeddingTests : IAsyncDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("oci-registry-").FullName;
    private readonly byte[] _blob = RegistryClient.RandomBytes(100);
    private WebApplication? _app;
    private HttpClient? _http;

    private HttpClient Http => _http!;

    public async ValueTask DisposeAsync()
    {
        _http?.Dispose();
        if (_app is not null)
        {
            await _app.StopAsync();
            await _app.DisposeAsync();
        }

        Directory.Delete(_root, recursive: true);
    }

    [Fact]
    public async Task Under_a_path_base_every_address_that_is_told_has_it()
    {
        await StartAsync(app =>
        {
            app.UsePathBase("/registry");
            app.UseRouting();
            app.MapOciRegistry();
        });

        await AddressesShouldStartWithAsync("/registry");
    }

    [Fact]
    public async Task In_a_branch_every_address_that_is_told_has_its_path()
    {
        await StartAsync(app => app.Map("/registry", branch =>
        {
            branch.UseRouting();
            branch.UseEndpoints(endpoints => endpoints.MapOciRegistry());
        }));

        await AddressesShouldStartWithAsync("/registry");
    }

    [Fact]
    public async Task Conventions_of_the_group_apply_to_every_operation()
    {
        await StartAsync(app => app.MapOciRegistry().RequireHost("registry.example").WithMetadata("marked"));

        var endpoints = _app!.Services.GetRequiredService<EndpointDataSource>().Endpoints;
        endpoints.Count.ShouldBeGreaterThan(14);
        endpoints.ShouldAllBe(endpoint => endpoint.Metadata.GetMetadata<string>() == "marked");
        foreach (var path in new[] { "/v2/", "/v2/a/tags/list", "/v2/nothing" })
        {
            using var elsewhere = await Http.RequestAsync("GET", path);
            elsewhere.StatusCode.ShouldBe(HttpStatusCode.NotFound);
            elsewhere.Header("X-Request-Id").ShouldBeNull();
            using var here = await Http.RequestAsync("GET", path, ("Host", "registry.example"));
            here.Header("X-Request-Id").ShouldNotBeNull();
        }
    }

    [Fact]
    public async Task The_applications_own_endpoints_stay_its_own()
    {
        await StartAsync(app =>
        {
            app.MapGet("/", () => "home");
            app.MapOciRegistry();
            app.MapGet("/v2/own", () => "own");
            app.MapFallback(() => "fallback");
        });

        (await Http.GetStringAsync(new Uri("/", UriKind.Relative))).ShouldBe("home");
        (await Http.GetStringAsync(new Uri("/v2/own", UriKind.Relative))).ShouldBe("own");
        (await Http.GetStringAsync(new Uri("/elsewhere", UriKind.Relative))).ShouldBe("fallback");
        using var nothing = await Http.RequestAsync("GET", "/v2/nothing/here");
        await nothing.ShouldBeErrorAsync(HttpStatusCode.NotFound, "UNSUPPORTED");
        (await Http.PushBlobAsync("a", _blob)).ShouldBe(Digest.Of(_blob));
    }

    [Fact]
    public async Task Middleware_sees_the_operation_that_was_chosen()
    {
        var seen = new List<string?>();
        await StartAsync(app =>
        {
            app.UseRouting();
            app.Use((context, next) =>
            {
                seen.Add(context.GetEndpoint()?.DisplayName);
                return next(context);
            });
            app.MapOciRegistry();
        });

        using var version = await Http.RequestAsync("GET", "/v2/");
        using var tags = await Http.RequestAsync("HEAD", "/v2/a/tags/list");
        using var upload = await Http.RequestAsync("POST", "/v2/a/blobs/uploads/");

        seen.ShouldBe(["GET HEAD /v2/", "GET HEAD /v2/{name}/tags/list", "POST /v2/{name}/blobs/uploads/"]);
    }

    private async Task StartAsync(Action<WebApplication> map)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        builder.Services.AddOciRegistry(registry => registry.UseFileSystem(_root));
        _app = builder.Build();
        map(_app);
        await _app.StartAsync();
        _http = new HttpClient { BaseAddress = new Uri(_app.Urls.Single()) };
    }

    private async Task AddressesShouldStartWithAsync(string prefix)
    {
        using var started = await Http.RequestAsync("POST", $"{prefix}/v2/a/blobs/uploads/");
        var location = started.Headers.Location!.ToString();
        location.ShouldStartWith($"{prefix}/v2/a/blobs/uploads/");
        using var put = await Http.CompleteAsync(location, Digest.Of(_blob).ToString(), _blob);
        put.Headers.Location!.ToString().ShouldBe($"{prefix}/v2/a/blobs/{Digest.Of(_blob)}");
        using var blob = await Http.GetAsync(put.Headers.Location);
        await blob.ShouldBeContentAsync(Digest.Of(_blob), _blob);

        foreach (var tag in new[] { "v1", "v2" })
        {
            using var manifest = await Http.RequestAsync(
                "PUT", $"{prefix}/v2/a/manifests/{tag}", RegistryClient.EmptyIndex(), ("Content-Type", MediaTypes.ImageIndex));
            manifest.Headers.Location!.ToString().ShouldStartWith($"{prefix}/v2/a/manifests/sha256:");
        }

        using var tags = await Http.RequestAsync("GET", $"{prefix}/v2/a/tags/list?n=1");
        tags.Header("Link").ShouldBe($"<{prefix}/v2/a/tags/list?n=1&last=v1>; rel=\"next\"");
        using var nothing = await Http.RequestAsync("GET", $"{prefix}/v2/nothing");
        await nothing.ShouldBeErrorAsync(HttpStatusCode.NotFound, "UNSUPPORTED");
    }
}
