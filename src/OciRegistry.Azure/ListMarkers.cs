namespace OciRegistry.Azure;

/// <summary>
/// Where the storage can go on in listings that it has given: they begin at the start or at a marker of its own, not after
/// a name. A marker names a place, not what is there, so one that is remembered hides nothing that came since.
/// </summary>
internal sealed class ListMarkers
{
    private const int Capacity = 1_000;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, SortedList<string, string>> _folders = [];
    private readonly Queue<(string Folder, string Name)> _order = [];

    /// <param name="folder">What is listed.</param>
    /// <param name="name">The last name of a page.</param>
    /// <param name="marker">Where the next one begins.</param>
    public void Add(string folder, string name, string marker)
    {
        lock (_lock)
        {
            if (!_folders.TryGetValue(folder, out var markers))
            {
                _folders.Add(folder, markers = new SortedList<string, string>(StringComparer.Ordinal));
            }

            if (markers.TryAdd(name, marker))
            {
                _order.Enqueue((folder, name));
            }

            if (_order.Count > Capacity)
            {
                var (oldFolder, oldName) = _order.Dequeue();
                if (_folders[oldFolder].Remove(oldName) && _folders[oldFolder].Count == 0)
                {
                    _folders.Remove(oldFolder);
                }
            }
        }
    }

    /// <summary>The last place that is not beyond a name, and whether it is right behind it; null for the start.</summary>
    public (string? Marker, bool IsExact) Before(string folder, string? name)
    {
        lock (_lock)
        {
            if (name is null || !_folders.TryGetValue(folder, out var markers))
            {
                return (null, name is null);
            }

            var (low, high) = (0, markers.Count);
            while (low < high)
            {
                var middle = (low + high) / 2;
                (low, high) = string.CompareOrdinal(markers.Keys[middle], name) <= 0 ? (middle + 1, high) : (low, middle);
            }

            return low == 0 ? (null, false) : (markers.Values[low - 1], markers.Keys[low - 1] == name);
        }
    }
}
