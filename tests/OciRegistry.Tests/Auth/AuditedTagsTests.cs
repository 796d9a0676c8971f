using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OciRegistry.Storage;
using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Auth;

/// <summary>What the audit log says of the tags that a request has changed, and what that costs.</summary>
public sealed class AuditedTagsTests : IDisposable
{
    private const int MaxTags = 100;
    private const int AtOnce = 16;

    private readonly string _repository = RegistryClient.NewRepository();
    private readonly LogCapture _log = new(LogLevel.Information);

    public void Dispose() => _log.Dispose();

    [Fact]
    public async Task Tags_before_a_push_are_read_at_once_and_not_all_of_them()
    {
        await using var registry = await StartAsync();
        var manifest = RegistryClient.EmptyIndex();
        var held = Enumerable.Range(0, MaxTags)
            .Select(i => registry.Plan.Hold(StoreCall.DocumentRead, TagKey($"t{i:00}"))).ToArray();
        var tags = string.Join('&', Enumerable.Range(0, MaxTags).Select(i => $"tag=t{i:00}"));
        var put = registry.Http.PutManifestAsync(
            _repository, $"{Digest.Of(manifest)}?{tags}", manifest, MediaTypes.ImageIndex);
        await Task.WhenAll(held.Take(AtOnce).Select(one => one.Reached));
        registry.Plan.Journal.Count(call => call.On.Contains("/_tags/", StringComparison.Ordinal)).ShouldBe(AtOnce);
        registry.Plan.ReleaseAll();

        (await Until.DoneAsync(put)).StatusCode.ShouldBe(HttpStatusCode.Created);
        var line = _log.Lines.Single(line => line.Contains("Push by", StringComparison.Ordinal));
        var expected = string.Join(", ", Enumerable.Range(0, MaxTags).Select(i => $"t{i:00}: none -> {Digest.Of(manifest)}"));
        line.ShouldContain($"[{expected}]"); // in the order of the request
    }

    [Fact]
    public async Task Tags_before_a_push_are_not_read_where_the_audit_log_is_off()
    {
        await using var registry = await FaultyRegistry.StartAsync();
        using var put = await registry.Http.PutManifestAsync(_repository, "v1", RegistryClient.EmptyIndex(), MediaTypes.ImageIndex);

        put.StatusCode.ShouldBe(HttpStatusCode.Created);
        registry.Plan.Journal.ShouldNotContain((StoreCall.DocumentRead, TagKey("v1")));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)] // an upstream's
    public async Task A_delete_of_a_manifest_lists_its_tags_twice_and_reads_each_twice(bool isPulled)
    {
        await using var upstream = await FakeUpstream.StartAsync();
        await using var registry = await StartAsync(all => all.PullThrough.Upstreams.Add(
            new UpstreamOptions { Prefix = isPulled ? "test" : "up", Url = upstream.Url.AbsoluteUri, AllowPush = true }));
        var manifest = RegistryClient.EmptyIndex();
        await PushAsync(registry, $"{Digest.Of(manifest)}?tag=v1&tag=v2", manifest);
        var start = registry.Plan.Journal.Count;

        await DeleteAsync(registry, Digest.Of(manifest).ToString());

        var calls = registry.Plan.Journal.Skip(start).ToArray();
        calls.Count(call => call.Call == StoreCall.DocumentList && call.On.Contains("/_tagged/", StringComparison.Ordinal)).ShouldBe(2);
        calls.Count(call => call == (StoreCall.DocumentRead, TagKey("v1"))).ShouldBe(isPulled ? 3 : 2); // the note of the tag is looked after
        DeletedTags().ShouldBe([$"v1: {Digest.Of(manifest)} -> none, v2: {Digest.Of(manifest)} -> none"]);
    }

    [Fact]
    public async Task A_delete_of_a_tag_reads_it_once()
    {
        await using var registry = await StartAsync();
        var manifest = RegistryClient.EmptyIndex();
        await PushAsync(registry, "v1", manifest);
        var start = registry.Plan.Journal.Count;

        await DeleteAsync(registry, "v1");

        registry.Plan.Journal.Skip(start).Count(call => call == (StoreCall.DocumentRead, TagKey("v1"))).ShouldBe(1);
        DeletedTags().ShouldBe([$"v1: {Digest.Of(manifest)} -> none"]);
    }

    [Fact]
    public async Task The_line_of_a_delete_has_a_tag_that_was_pushed_after_the_delete_began_and_went_with_it()
    {
        await using var registry = await StartAsync();
        var manifest = RegistryClient.EmptyIndex();
        await PushAsync(registry, "v1", manifest);
        var reading = registry.Plan.Hold(
            StoreCall.DocumentRead, RegistryLayout.Manifest(RepositoryName.Parse(_repository), Digest.Of(manifest)).ToString());
        var delete = DeleteAsync(registry, Digest.Of(manifest).ToString());
        await reading.Reached;
        await PushAsync(registry, "v2", manifest);
        reading.Release();
        await Until.DoneAsync(delete);

        DeletedTags().ShouldBe([$"v1: {Digest.Of(manifest)} -> none, v2: {Digest.Of(manifest)} -> none"]);
    }

    [Fact]
    public async Task The_line_of_a_delete_has_no_tag_that_moved_to_another_manifest_before_it_was_deleted()
    {
        await using var registry = await StartAsync();
        var (manifest, other) = (RegistryClient.EmptyIndex(), RegistryClient.EmptyIndex());
        await PushAsync(registry, $"{Digest.Of(manifest)}?tag=v1&tag=v2", manifest);
        var reading = registry.Plan.Hold(
            StoreCall.DocumentRead, RegistryLayout.Manifest(RepositoryName.Parse(_repository), Digest.Of(manifest)).ToString());
        var delete = DeleteAsync(registry, Digest.Of(manifest).ToString());
        await reading.Reached;
        await PushAsync(registry, "v2", other);
        reading.Release();
        await Until.DoneAsync(delete);

        DeletedTags().ShouldBe([$"v1: {Digest.Of(manifest)} -> none"]);
    }

    [Fact]
    public async Task The_line_of_a_delete_has_the_first_hundred_of_more_tags()
    {
        await using var registry = await StartAsync();
        var manifest = RegistryClient.EmptyIndex();
        foreach (var half in new[] { 0, 60 })
        {
            var tags = string.Join('&', Enumerable.Range(half, 60).Select(i => $"tag=t{i:000}"));
            await PushAsync(registry, $"{Digest.Of(manifest)}?{tags}", manifest);
        }

        await DeleteAsync(registry, Digest.Of(manifest).ToString());

        DeletedTags().Single().Split(", ").Select(tag => tag[..4])
            .ShouldBe(Enumerable.Range(0, MaxTags).Select(i => $"t{i:000}"));
    }

    private Task<FaultyRegistry> StartAsync(Action<OciRegistryOptions>? settings = null) => FaultyRegistry.StartAsync(
        settings: settings, services: services => services.AddLogging(logs => logs.AddProvider(_log)));

    private string TagKey(string tag) => $"repositories/{_repository}/_tags/{tag}";

    private IEnumerable<string> DeletedTags() => _log.Lines
        .Where(line => line.Contains("Delete by", StringComparison.Ordinal)).Select(line => line.Split('[', ']')[1]);

    private async Task PushAsync(FaultyRegistry registry, string reference, byte[] manifest)
    {
        using var put = await registry.Http.PutManifestAsync(_repository, reference, manifest, MediaTypes.ImageIndex);
        await put.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }

    private async Task DeleteAsync(FaultyRegistry registry, string reference)
    {
        using var deleted = await registry.Http.DeleteAsync($"/v2/{_repository}/manifests/{reference}");
        await deleted.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
    }
}
