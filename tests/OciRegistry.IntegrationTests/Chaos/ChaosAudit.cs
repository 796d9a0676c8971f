namespace OciRegistry.IntegrationTests.Chaos;

/// <summary>
/// Reads everything from every replica after the writers have stopped: the replicas must agree, and lists must agree with
/// what they list.
/// </summary>
internal sealed class ChaosAudit(ChaosReplicas replicas, ChaosHistory history, ChaosContent content)
{
    /// <summary>The values of all keys that are not absent.</summary>
    public async Task<Dictionary<ChaosKey, string>> RunAsync()
    {
        var found = await Task.WhenAll(Enumerable.Range(0, replicas.Count).Select(AskAsync));
        foreach (var key in found.SelectMany(values => values.Keys).Distinct())
        {
            var values = found.Select(values => values.GetValueOrDefault(key)).ToArray();
            if (values.Distinct().Count() > 1)
            {
                history.Violate($"{key} differs between replicas: {string.Join(", ", values.Select(value => value ?? "absent"))}");
            }
        }

        return found[0];
    }

    private async Task<Dictionary<ChaosKey, string>> AskAsync(int replica)
    {
        var values = new Dictionary<ChaosKey, string>();
        var reads = new ChaosReads(new ChaosClient("audit", replicas, history, replica), content);
        foreach (var repository in ChaosSettings.Repositories)
        {
            await AskAsync(reads, replica, repository, values);
        }

        await CompareCatalogAsync(reads, replica, values);
        return values;
    }

    private async Task AskAsync(ChaosReads reads, int replica, string repository, Dictionary<ChaosKey, string> values)
    {
        foreach (var blob in content.Blobs.Values)
        {
            if (await reads.BlobAsync(repository, blob, replica))
            {
                values[new ChaosKey(KeyKind.Blob, repository, blob.Digest.ToString())] = ChaosHistory.Present;
            }
        }

        foreach (var image in content.Images)
        {
            if (await reads.ManifestAsync(repository, image, replica))
            {
                values[new ChaosKey(KeyKind.Manifest, repository, image.Digest.ToString())] = ChaosHistory.Present;
            }
        }

        foreach (var tag in ChaosSettings.AllTags)
        {
            if (await reads.TagAsync(repository, tag, replica) is { } image)
            {
                values[new ChaosKey(KeyKind.Tag, repository, tag)] = image.Digest.ToString();
            }
        }

        if (repository != ChaosSettings.Upstream)
        {
            await CompareListsAsync(reads, replica, repository, values);
        }
    }

    private async Task CompareListsAsync(
        ChaosReads reads, int replica, string repository, Dictionary<ChaosKey, string> values)
    {
        var listed = await reads.TagsAsync(repository, replica);
        foreach (var tag in ChaosSettings.AllTags)
        {
            var isThere = values.ContainsKey(new ChaosKey(KeyKind.Tag, repository, tag));
            if (listed?.Contains(tag) != isThere)
            {
                history.Violate($"replica {replica}: {repository}:{tag} {(isThere ? "is not listed" : "is listed, but unknown")}");
            }
        }

        foreach (var subject in content.Images.Select(image => image.Subject).OfType<Digest>().Distinct())
        {
            await reads.ReferrersAsync(repository, subject, replica);
        }
    }

    /// <summary>
    /// Compares the catalog where all requests had a known result: a process that is killed between the content and its entry
    /// leaves one without the other until the next push or delete.
    /// </summary>
    private async Task CompareCatalogAsync(ChaosReads reads, int replica, Dictionary<ChaosKey, string> values)
    {
        var listed = await reads.CatalogAsync(replica);
        var unsure = history.Keys.Where(key => history[key].Writes.Any(write => write.Fate == Fate.Unknown))
            .Select(key => key.Repository).ToHashSet();
        foreach (var repository in ChaosSettings.Repositories.Where(name => name != ChaosSettings.Upstream && !unsure.Contains(name)))
        {
            var isThere = values.Keys.Any(key => key.Repository == repository);
            if (listed?.Contains(repository) != isThere)
            {
                history.Violate($"replica {replica}: {repository} {(isThere ? "is not in the catalog" : "is in the catalog, but empty")}");
            }
        }
    }
}
