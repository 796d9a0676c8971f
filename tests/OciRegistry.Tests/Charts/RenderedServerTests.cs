using System.Net;
using System.Net.Http.Headers;
using System.Text;
using OciRegistry.Tests.Server;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Charts;

/// <summary>The program itself, started as a pod would start it.</summary>
public sealed class RenderedServerTests
{
    [Fact]
    public async Task It_starts_with_what_was_rendered_and_answers_what_Kubernetes_asks()
    {
        var release = RegistryChart.Rendered("filesystem-ingress");
        using var pod = new MountedPod(release);
        await using var server = ServerProcess.Start(pod.ArgumentsOf(release));
        using var http = new HttpClient { BaseAddress = await server.UntilListeningAsync() };

        string[] asked =
        [
            .. ((string[])["startupProbe", "livenessProbe", "readinessProbe"]).Select(probe => (string)release.Server[probe]!["httpGet"]!["path"]!),
            (string)RegistryChart.Rendered("monitoring").OfKind("ServiceMonitor").Single()["spec"]!["endpoints"]![0]!["path"]!,
        ];
        foreach (var path in asked)
        {
            (await http.GetAsync(path)).StatusCode.ShouldBe(HttpStatusCode.OK, path);
        }

        (await StatusAsync(http, "/v2/", null)).ShouldBe(HttpStatusCode.Unauthorized);
        (await StatusAsync(http, "/v2/", "bob:builder-bob")).ShouldBe(HttpStatusCode.OK);
        (await StatusAsync(http, "/v2/team-a/app/tags/list", "bob:builder-bob")).ShouldBe(HttpStatusCode.NotFound);
        (await StatusAsync(http, "/v2/team-b/app/tags/list", "bob:builder-bob")).ShouldBe(HttpStatusCode.Forbidden);
    }

    [Fact]
    public async Task Users_and_policies_that_a_node_brings_later_count_without_a_restart()
    {
        var release = RegistryChart.Rendered("filesystem-ingress");
        using var pod = new MountedPod(release);
        await using var server = ServerProcess.Start(pod.ArgumentsOf(release));
        using var http = new HttpClient { BaseAddress = await server.UntilListeningAsync() };
        (await StatusAsync(http, "/v2/", "alice:wonderland")).ShouldBe(HttpStatusCode.OK);
        (await StatusAsync(http, "/admin/uploads", "alice:wonderland")).ShouldBe(HttpStatusCode.Forbidden);

        pod.Update(RegistryChart.Rendered("filesystem-ingress-changed"));

        await Until.TrueAsync(
            async () => await StatusAsync(http, "/admin/uploads", "alice:looking-glass") == HttpStatusCode.OK,
            "the new password and the new policy");
    }

    [Fact]
    public async Task So_do_settings_that_it_reads_again()
    {
        var release = RegistryChart.Rendered("filesystem-ingress");
        using var pod = new MountedPod(release);
        await using var server = ServerProcess.Start(pod.ArgumentsOf(release));
        using var http = new HttpClient { BaseAddress = await server.UntilListeningAsync() };
        const string Uploads = "/v2/team-a/app/blobs/uploads/";
        (await StatusAsync(http, Uploads, "bob:builder-bob", HttpMethod.Post)).ShouldBe(HttpStatusCode.Accepted);

        pod.Update(RegistryChart.Rendered("filesystem-ingress-changed"));

        await Until.TrueAsync(
            async () => await StatusAsync(http, Uploads, "bob:builder-bob", HttpMethod.Post) == HttpStatusCode.MethodNotAllowed,
            "ReadOnly");
    }

    private static async Task<HttpStatusCode> StatusAsync(
        HttpClient http, string path, string? login, HttpMethod? method = null)
    {
        using var request = new HttpRequestMessage(method ?? HttpMethod.Get, path);
        request.Headers.Authorization = login is null ? null
            : new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(login)));
        using var response = await http.SendAsync(request);
        return response.StatusCode;
    }
}
