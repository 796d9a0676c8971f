using Microsoft.Extensions.Logging.Abstractions;
using OciRegistry.PullThrough;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>Clients of a fake upstream, and what the tests of them ask.</summary>
internal static class UpstreamClients
{
    public static UpstreamClient Client(
        this FakeUpstream upstream, Action<UpstreamOptions>? options = null, TimeProvider? time = null) =>
        Of(upstream.Url, options, time);

    public static UpstreamClient Of(Uri url, Action<UpstreamOptions>? options = null, TimeProvider? time = null)
    {
        var upstream = new UpstreamOptions { Prefix = "hub", Url = url.AbsoluteUri };
        options?.Invoke(upstream);
        upstream.Problems().ShouldBeEmpty();
        return new UpstreamClient(upstream, time ?? TimeProvider.System, NullLogger.Instance);
    }

    public static async Task<UpstreamAnswer> GetAsync(
        this UpstreamClient client, string repository, string resource, CancellationToken cancel = default) =>
        await Until.DoneAsync(client.SendAsync(HttpMethod.Get, repository, resource, null, cancel).AsTask());

    /// <summary>A GET whose body does not matter.</summary>
    public static async Task<UpstreamOutcome> OutcomeAsync(this UpstreamClient client, string repository = "a", string resource = "manifests/1")
    {
        using var answer = await client.GetAsync(repository, resource);
        return answer.Outcome;
    }

    public static async Task<byte[]?> BytesAsync(this UpstreamClient client, string repository, string resource)
    {
        using var answer = await client.GetAsync(repository, resource);
        answer.Outcome.ShouldBe(UpstreamOutcome.Found, answer.Problem);
        using var large = new SemaphoreSlim(1);
        return await UpstreamBody.ReadBoundedAsync(answer.Response!, 1_000_000, large, default);
    }
}
