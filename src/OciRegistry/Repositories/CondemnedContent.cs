using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using OciRegistry.Storage;

namespace OciRegistry.Repositories;

/// <summary>
/// Removes content that no repository links any more. It is condemned first, and removed by a later sweep, beside pushes
/// of the same digest: who is about to publish or link content holds it, and holding takes a condemnation back.
/// </summary>
/// <remarks>
/// The sweep marks the document "deleting" and reads the reverse links after that; who holds writes its reverse link and
/// reads the document after that. So either the sweep finds the link, or the holder finds "deleting" and waits until the
/// removal is over. What is there once it is held stays, for as long as the reverse link does.
/// </remarks>
internal sealed partial class CondemnedContent(
    IDocumentStore documents,
    IBlobStore blobs,
    IOptions<OciRegistryOptions> options,
    RegistryMetrics metrics,
    TimeProvider time,
    ILogger<CondemnedContent> log)
{
    private const int PageSize = 1_000;

    private static readonly TimeSpan FirstDelay = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan LongestDelay = TimeSpan.FromSeconds(1);

    // A sweep ends itself long before another one takes over: between the two, clocks and a slow delete have their room.
    private static readonly TimeSpan LongestRemoval = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan TakeOver = TimeSpan.FromMinutes(5);

    // Who has written its reverse link and not its link after that time has died in between.
    private static readonly TimeSpan LongestLinking = TimeSpan.FromHours(24);

    /// <summary>What a reverse link says that stands.</summary>
    public static ReadOnlyMemory<byte> Linked { get; } = "linked"u8.ToArray();

    /// <summary>What a reverse link says that is being taken away: who links at that time writes it again.</summary>
    public static ReadOnlyMemory<byte> Unlinking { get; } = "unlinking"u8.ToArray();

    /// <summary>Lets a later sweep remove the content, unless a repository links it. Repeatable.</summary>
    public async ValueTask CondemnAsync(Digest digest, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var condemned = new Condemnation(time.GetUtcNow());
        if (await FindLinksAsync(digest, condemned) != Links.Live)
        {
            await WriteAsync(digest, condemned, WriteCondition.Absent);
        }
    }

    /// <summary>
    /// Keeps content for a repository from now on: called before it is published or linked. Waits while it is just being
    /// removed.
    /// </summary>
    public async ValueTask HoldAsync(RepositoryName repository, Digest digest, CancellationToken cancellationToken)
    {
        var started = time.GetTimestamp();
        for (var delay = FirstDelay; ; delay = TimeSpan.FromTicks(Math.Min(delay.Ticks * 2, LongestDelay.Ticks)))
        {
            // Each time: while we waited, the sweep may have taken it for one that somebody has left.
            await documents.WriteAsync(
                RegistryLayout.Link(digest, repository), Linked, WriteCondition.None, Durability.Synced, cancellationToken);
            if (await ReadAsync(digest, cancellationToken) is not { } found)
            {
                return;
            }

            // A sweep that has died holds it no longer than one that was paused: that one looks at its mark before it deletes.
            if (found.Condemnation.Deleting is null || time.GetUtcNow() - found.Condemnation.Deleting >= TakeOver)
            {
                if (await DeleteAsync(digest, found.Version))
                {
                    return;
                }

                continue; // the sweep was faster, or another holder
            }

            if (time.GetElapsedTime(started) >= options.Value.Uploads.CommitWait)
            {
                throw new StorageException("The content is just being removed; it can be pushed again when that is done.");
            }

            await Task.Delay(delay, time, cancellationToken);
        }
    }

    /// <summary>Takes a reverse link away whose link was never written; false when it stays, because somebody links.</summary>
    /// <remarks>
    /// The mark stands before the link is looked for: who links at the same time has then either written the link, which
    /// we find, or finds the mark afterwards, and holds again.
    /// </remarks>
    public async ValueTask<bool> LetGoAsync(RepositoryName repository, Digest digest)
    {
        var reverse = RegistryLayout.Link(digest, repository);
        var marked = await documents.WriteAsync(
            reverse, Unlinking, WriteCondition.None, Durability.Synced, CancellationToken.None);
        var unchanged = WriteCondition.Unchanged(marked!);
        if (await IsLinkedAsync(repository, digest))
        {
            await documents.WriteAsync(reverse, Linked, unchanged, Durability.Synced, CancellationToken.None);
            return false;
        }

        return await documents.DeleteAsync(reverse, unchanged, Durability.Synced, CancellationToken.None);
    }

    /// <summary>Removes what was condemned for <paramref name="grace"/> and is not linked; how much that was.</summary>
    public async ValueTask<int> SweepAsync(TimeSpan grace, CancellationToken cancellationToken)
    {
        var removed = 0;
        string? last = null;
        while (await documents.ListAsync(RegistryLayout.Condemned, last, PageSize, cancellationToken) is { Count: > 0 } page)
        {
            foreach (var name in page)
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (Digest.TryParse(name, out var digest) && await TryRemoveAsync(digest, grace))
                {
                    removed++;
                    metrics.ContentRemoved(1);
                }
            }

            last = page[^1];
        }

        return removed;
    }

    /// <summary>Content that cannot be removed must not keep all that comes after it.</summary>
    private async ValueTask<bool> TryRemoveAsync(Digest digest, TimeSpan grace)
    {
        try
        {
            return await RemoveAsync(digest, grace);
        }
        catch (StorageException e)
        {
            LogKept(log, e, digest);
            return false;
        }
    }

    /// <summary>Removes the content of one digest, if it is time and nobody has it.</summary>
    /// <remarks>
    ///   (1) mark it "deleting", by compare-and-swap    else another sweep has it, or a holder has taken it back
    ///   (2) read the reverse links                     after the mark; one that is live: the content stays
    ///   (3) delete the content                         unless this took long: to a sweep that was paused another one
    ///                                                  comes, and to what that one has removed another push; where the
    ///                                                  machine slept, its clock did too, and only the document tells
    ///   (4) delete the document                        who waits to hold the content goes on
    /// </remarks>
    private async ValueTask<bool> RemoveAsync(Digest digest, TimeSpan grace)
    {
        if (await ReadAsync(digest, CancellationToken.None) is not { } found || !IsDue(found.Condemnation, grace))
        {
            return false;
        }

        // (1)
        var started = time.GetTimestamp();
        var condemned = found.Condemnation with { Deleting = null };
        if (await WriteAsync(
                digest, condemned with { Deleting = time.GetUtcNow() }, WriteCondition.Unchanged(found.Version)) is not { } version)
        {
            return false;
        }

        // (2)
        var links = Links.Left; // also where the store fails
        try
        {
            links = await FindLinksAsync(digest, condemned);
        }
        finally
        {
            if (links == Links.Left)
            {
                await WriteAsync(digest, condemned, WriteCondition.Unchanged(version)); // for another sweep to look at
            }
        }

        if (links == Links.Live)
        {
            await DeleteAsync(digest, version);
        }

        if (links != Links.None)
        {
            return false;
        }

        // (3)
        if (await ReadAsync(digest, CancellationToken.None) is not { } marked || marked.Version != version)
        {
            return false;
        }

        if (time.GetElapsedTime(started) > LongestRemoval)
        {
            await WriteAsync(digest, condemned, WriteCondition.Unchanged(version));
            return false;
        }

        var wasThere = await blobs.DeleteAsync(digest, CancellationToken.None);

        // (4)
        await DeleteAsync(digest, version);
        return wasThere;
    }

    private bool IsDue(Condemnation condemnation, TimeSpan grace)
    {
        var now = time.GetUtcNow();
        return condemnation.Deleting is { } deleting ? now - deleting >= TakeOver : now - condemnation.Since >= grace;
    }

    /// <summary>Whether anybody links the content; takes reverse links away that were left long ago.</summary>
    private async ValueTask<Links> FindLinksAsync(Digest digest, Condemnation condemned)
    {
        var isLongAgo = time.GetUtcNow() - condemned.Since > LongestLinking;
        var found = Links.None;
        string? last = null;
        while (await documents.ListAsync(RegistryLayout.Links(digest), last, PageSize, CancellationToken.None) is { Count: > 0 } page)
        {
            foreach (var name in page)
            {
                if (!RepositoryName.TryParse(name, out var repository) || await IsLinkedAsync(repository, digest))
                {
                    return Links.Live;
                }

                if (!isLongAgo || !await LetGoAsync(repository, digest))
                {
                    found = Links.Left;
                }
            }

            last = page[^1];
        }

        return found;
    }

    private async ValueTask<bool> IsLinkedAsync(RepositoryName repository, Digest digest) =>
        await documents.ReadAsync(RegistryLayout.RepositoryBlob(repository, digest), CancellationToken.None) is not null;

    private async ValueTask<(Condemnation Condemnation, string Version)?> ReadAsync(
        Digest digest, CancellationToken cancellationToken)
    {
        if (await documents.ReadAsync(RegistryLayout.Condemnation(digest), cancellationToken) is not { } document)
        {
            return null;
        }

        try
        {
            var condemnation = JsonSerializer.Deserialize(document.Content.Span, CondemnationJson.Default.Condemnation)
                ?? throw new JsonException();
            return (condemnation, document.Version);
        }
        catch (JsonException e)
        {
            // Of another release: what it says about the content is not to be guessed.
            throw new StorageException($"The document {RegistryLayout.Condemnation(digest)} cannot be read.", e);
        }
    }

    private ValueTask<string?> WriteAsync(Digest digest, Condemnation condemnation, WriteCondition condition) =>
        documents.WriteAsync(
            RegistryLayout.Condemnation(digest),
            JsonSerializer.SerializeToUtf8Bytes(condemnation, CondemnationJson.Default.Condemnation),
            condition,
            Durability.Synced,
            CancellationToken.None);

    private ValueTask<bool> DeleteAsync(Digest digest, string version) =>
        documents.DeleteAsync(
            RegistryLayout.Condemnation(digest), WriteCondition.Unchanged(version), Durability.Synced, CancellationToken.None);

    [LoggerMessage(LogLevel.Error, "The unused content {Digest} cannot be removed; the next sweep tries again.")]
    private static partial void LogKept(ILogger logger, Exception exception, Digest digest);

    private enum Links
    {
        None,

        /// <summary>Somebody is about to link it, or has died doing so.</summary>
        Left,
        Live,
    }
}

/// <param name="Since">When no repository linked the content any more.</param>
/// <param name="Deleting">Since when a sweep removes it; null while none does.</param>
internal sealed record Condemnation(DateTimeOffset Since, DateTimeOffset? Deleting = null);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(Condemnation))]
internal sealed partial class CondemnationJson : JsonSerializerContext;
