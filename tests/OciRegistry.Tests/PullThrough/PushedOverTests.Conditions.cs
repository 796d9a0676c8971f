using System.Net;
using OciRegistry.Storage;
using OciRegistry.Tests.Faults;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>Pushes with a condition, and several pushes of one tag, that meet in an upstream's repository.</summary>
public sealed partial class PushedOverTests
{
    private static readonly string TagKey = RegistryLayout.Tag(Repository("a"), TagNamed("v1")).ToString();

    [Theory]
    [InlineData(false)] // If-None-Match: * by both
    [InlineData(true)] // If-Match of what the upstream has, by both
    public async Task Of_two_pushes_with_the_same_condition_at_the_same_time_one_has_set_the_tag(bool isThere)
    {
        var (name, value) = ("If-None-Match", "*");
        if (isThere)
        {
            var theirs = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
            await AssertNamesAsync("a", "v1", theirs.Manifest);
            (name, value) = ("If-Match", $"\"{theirs.Digest}\"");
        }

        var (one, two) = (RegistryClient.EmptyIndex(), RegistryClient.EmptyIndex());
        var (first, storing1) = await PutUntilStoringAsync(one, name, value);
        var (second, storing2) = await PutUntilStoringAsync(two, name, value);
        var ending = HoldNote(one);
        storing1.Release();
        await ending.Reached; // the first has stored its tag
        storing2.Release();
        (await Until.DoneAsync(second)).StatusCode.ShouldBe(HttpStatusCode.PreconditionFailed);
        ending.Release();

        (await Until.DoneAsync(first)).StatusCode.ShouldBe(HttpStatusCode.Created);
        await AssertNamesAsync("a", "v1", one);
    }

    [Fact]
    public async Task Somebody_wins_each_race_to_create_a_tag()
    {
        for (var round = 0; round < 50; round++)
        {
            var answers = await Task.WhenAll(Enumerable.Range(0, 2).Select(_ => Task.Run(() => PutAsync(
                RegistryClient.EmptyIndex(), "If-None-Match", "*", $"v{round}"))));

            answers.Count(answer => answer.StatusCode == HttpStatusCode.Created).ShouldBe(1);
        }
    }

    [Fact]
    public async Task A_delete_that_finds_no_tag_leaves_the_push_that_creates_it_alone()
    {
        var ours = RegistryClient.EmptyIndex();
        var tagging = _registry.Plan.Hold(StoreCall.DocumentWrite, TagKey);
        var push = PutAsync(ours, "If-None-Match", "*");
        await tagging.Reached;
        var calls = _registry.Plan.Journal.Count;
        (await Http.DeleteAsync("/v2/up/a/manifests/v1")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        _registry.Plan.Journal.Skip(calls).ShouldNotContain(call => call.Call == StoreCall.DocumentWrite);
        tagging.Release();

        (await Until.DoneAsync(push)).StatusCode.ShouldBe(HttpStatusCode.Created);
        await AssertNamesAsync("a", "v1", ours);
    }

    /// <summary>
    /// The note of the push is taken, a pull points its tag to the upstream's, and another push, which fails later, has set its
    /// own note when the first looks.
    /// </summary>
    [Theory]
    [InlineData(false)] // taken by a push that failed
    [InlineData(true)] // taken by a delete
    public async Task A_push_does_not_end_over_the_note_of_one_that_began_after_a_pull(bool isDeleted)
    {
        var theirs = _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        await AssertNamesAsync("a", "v1", theirs.Manifest);
        var ours = RegistryClient.EmptyIndex();
        var ending = HoldNote(ours, nth: 2);
        var push = PutAsync(ours);
        await ending.Reached; // its tag is stored
        if (isDeleted)
        {
            (await Http.DeleteAsync("/v2/up/a/manifests/v1")).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        }
        else
        {
            _registry.Plan.Fail(StoreCall.DocumentWrite, on: TagKey);
            (await PutAsync(RegistryClient.EmptyIndex())).StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        }

        await AssertNamesAsync("a", "v1", theirs.Manifest); // the pull points the tag back
        var (failing, storing) = await PutUntilStoringAsync(RegistryClient.EmptyIndex());
        ending.Release();
        (await Until.DoneAsync(push)).StatusCode.ShouldBe(HttpStatusCode.Created);
        _registry.Plan.Fail(StoreCall.DocumentWrite, on: TagKey);
        storing.Release();
        (await Until.DoneAsync(failing)).StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);

        await AssertNamesAsync("a", "v1", ours); // nobody has deleted it since it was acknowledged
    }

    /// <summary>Its tag was deleted, so that it begins again.</summary>
    [Fact]
    public async Task A_push_that_begins_again_looks_at_what_it_refers_to()
    {
        var (config, layer) = (RegistryClient.RandomBytes(9), RegistryClient.RandomBytes(100));
        await Http.PushBlobAsync("up/a", config);
        await Http.PushBlobAsync("up/a", layer);
        var ours = RegistryClient.ImageManifest(config, [layer]);
        var ending = HoldNote(ours, nth: 2);
        var push = Http.PutManifestAsync("up/a", "v1", ours);
        await ending.Reached; // its tag is stored
        (await Http.DeleteAsync($"/v2/up/a/manifests/{Digest.Of(ours)}")).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        (await Http.DeleteAsync($"/v2/up/a/blobs/{Digest.Of(layer)}")).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        ending.Release();

        (await Until.DoneAsync(push)).StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)] // a blob that is pushed
    public async Task A_blob_that_is_deleted_while_it_is_pushed_or_mounted_is_linked_again(bool isMount)
    {
        var content = RegistryClient.RandomBytes(100);
        await Http.PushBlobAsync("plain/a", content);
        var noting = HoldNote(content);
        var push = isMount
            ? Http.StartUploadAsync("up/a", $"?mount={Digest.Of(content)}&from=plain/a")
            : Http.StartUploadAsync("up/a", $"?digest={Digest.Of(content)}", content);
        await noting.Reached; // it is linked
        (await Http.DeleteAsync($"/v2/up/a/blobs/{Digest.Of(content)}")).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        noting.Release();

        (await Until.DoneAsync(push)).StatusCode.ShouldBe(HttpStatusCode.Created);
        (await Http.HeadBlobAsync("up/a", Digest.Of(content))).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await _registry.Documents.ReadAsync(RegistryLayout.PushedContent(Repository("a"), Digest.Of(content)), default))
            .ShouldNotBeNull();
    }

    [Fact]
    public async Task A_delete_takes_the_note_that_a_push_has_left_which_died_an_hour_ago()
    {
        _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        await DieAfterTheNoteAsync();
        (await Http.DeleteAsync("/v2/up/a/manifests/v1")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        await PullAsync(times: 2);
        _upstream.Count("GET", "/manifests/v1").ShouldBe(2); // nothing is cached over the note
        _time.Advance(TimeSpan.FromHours(1));
        (await Http.DeleteAsync("/v2/up/a/manifests/v1")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        await PullAsync(times: 2);

        _upstream.Count("GET", "/manifests/v1").ShouldBe(1);
    }

    [Theory]
    [InlineData(0.25)]
    [InlineData(7)] // days
    public async Task A_sweep_takes_the_note_of_a_push_that_died_a_day_ago_whatever_TagTtl_is(double tagTtl)
    {
        await _registry.DisposeAsync();
        _registry = await StartAsync(up => up.TagTtl = TimeSpan.FromDays(tagTtl));
        _upstream.AddImage("a", "v1", RegistryClient.RandomBytes(1_000));
        await DieAfterTheNoteAsync();
        _time.Advance(TimeSpan.FromDays(1.1));
        await Until.DoneAsync(SweepAsync());
        await PullAsync(times: 2);

        _upstream.Count("GET", "/manifests/v1").ShouldBe(1);
    }

    private async Task PullAsync(int times)
    {
        _upstream.ForgetCalls();
        for (var i = 0; i < times; i++)
        {
            (await Http.GetManifestAsync("up/a", "v1")).StatusCode.ShouldBe(HttpStatusCode.OK);
        }
    }

    /// <summary>A push of v1 that fails once it has set the note of its tag, and cannot take that back.</summary>
    private async Task DieAfterTheNoteAsync()
    {
        var ours = RegistryClient.EmptyIndex();
        var undo = _registry.Plan.Fail(
            StoreCall.DocumentDelete,
            on: RegistryLayout.ResolvedTag(Repository("a"), TagNamed("v1")).ToString(),
            times: int.MaxValue);
        _registry.Plan.Fail(
            StoreCall.DocumentWrite, on: RegistryLayout.Manifest(Repository("a"), Digest.Of(ours)).ToString());
        (await PutAsync(ours)).StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        undo.Release();
    }

    private Task<HttpResponseMessage> PutAsync(
        byte[] manifest, string? condition = null, string? value = null, string tag = "v1") =>
        Http.PutManifestAsync(
            "up/a",
            tag,
            manifest,
            MediaTypes.ImageIndex,
            headers => _ = condition is null || headers.TryAddWithoutValidation(condition, value));

    /// <summary>A push that is held when it stores its manifest: the note of its tag is there.</summary>
    private async Task<(Task<HttpResponseMessage> Push, Fault Storing)> PutUntilStoringAsync(
        byte[] manifest, string? condition = null, string? value = null)
    {
        var storing = _registry.Plan.Hold(
            StoreCall.DocumentWrite, RegistryLayout.Manifest(Repository("a"), Digest.Of(manifest)).ToString());
        var push = PutAsync(manifest, condition, value);
        await storing.Reached;
        return (push, storing);
    }

    private Fault HoldNote(byte[] manifest, int nth = 1) => _registry.Plan.Hold(
        StoreCall.DocumentWrite, RegistryLayout.PushedContent(Repository("a"), Digest.Of(manifest)).ToString(), nth: nth);
}
