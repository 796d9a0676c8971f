using System.Net;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Azure;

/// <summary>Credentials that do not allow a call are the operator's problem.</summary>
public sealed class AzureAccessTests
{
    [Fact]
    public async Task A_push_whose_commit_is_refused_is_answered_at_once()
    {
        await using var proxy = await AzuriteProxy.StartAsync();
        await using var container = await SharedContainer.CreateAsync(proxy.ConnectionString);
        await using var server = await ServerProcess.StartWithAsync(null, [.. container.Settings]);
        var content = RegistryClient.RandomBytes(1_000);
        proxy.Faults = request => request.Blob.Contains("_links", StringComparison.Ordinal) && request.IsWrite
            ? new StoreFault { Status = 403, Code = "AuthorizationPermissionMismatch" }
            : null;

        // CommitWait is 55 s, longer than the client of this request waits.
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(40));
        using (var refused = await server.Http.CompleteAsync(
            await server.Http.NewUploadAsync("a/b"), Digest.Of(content).ToString(), content).WaitAsync(patience.Token))
        {
            await refused.ShouldBeErrorAsync(HttpStatusCode.ServiceUnavailable, "UNAVAILABLE");
            (await refused.Content.ReadAsStringAsync(CancellationToken.None)).ShouldContain("refuses access");
        }

        proxy.Faults = null;
        await server.Http.PushBlobAsync("a/b", content);
    }
}
